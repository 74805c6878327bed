/**
 * The Destination, a Durable Object: one for each recipient domain or large provider. It is the one place that knows how much
 * mail is on its way there, and keeps what must not be forgotten in one row, written only when that changes. Leases are
 * soft: in memory, renewed by each report, and told anew to an object that restarted. Every call may be made twice.
 */
import { DurableObject } from "cloudflare:workers";
import type { Answer, Ask, Kept, Report } from "./pace.ts";
import { Pace } from "./pace.ts";
import { ruleOf } from "./rules.ts";

export interface DestinationNeeds {
  now(): number;
  /** In [0, 1). */
  random(): number;
  log(event: string, fields: Record<string, unknown>): void;
}

/** The Destination as a consumer sees it. `name` is its own: an object is not told. */
export interface DestinationPort {
  lease(name: string, ask: Ask): Promise<Answer>;
  report(name: string, report: Report): Promise<Answer>;
}

export type DestinationState = ReturnType<Pace["describe"]> & { name: string };

const KEY = "kept";

export class DestinationObject extends DurableObject implements DestinationPort {
  readonly #needs: DestinationNeeds;
  #pace: Pace | undefined;
  #kept = "";

  constructor(ctx: DurableObjectState, env: object, needs: DestinationNeeds) {
    super(ctx, env);
    this.#needs = needs;
  }

  async lease(name: string, ask: Ask): Promise<Answer> {
    const pace = this.#load(name);
    const answer = pace.lease(this.#needs.now(), ask);
    this.#keep(name, pace);
    return answer;
  }

  async report(name: string, report: Report): Promise<Answer> {
    const pace = this.#load(name);
    const answer = pace.report(this.#needs.now(), report);
    this.#keep(name, pace);
    return answer;
  }

  /** For the dashboard: why mail for this destination waits, which way it goes, how it went lately. */
  async describe(name: string): Promise<DestinationState> {
    return { name, ...this.#load(name).describe(this.#needs.now()) };
  }

  #load(name: string): Pace {
    if (this.#pace) return this.#pace;
    const kept = this.ctx.storage.kv.get<Kept>(KEY) ?? { detours: [] };
    this.#pace = new Pace(ruleOf(name), this.#needs.random, kept);
    this.#kept = JSON.stringify(this.#pace.kept());
    return this.#pace;
  }

  #keep(name: string, pace: Pace): void {
    const state = JSON.stringify(pace.kept());
    if (state === this.#kept) return;
    this.#kept = state;
    this.ctx.storage.kv.put(KEY, pace.kept());
    const { stop, limits, detours } = pace.kept();
    this.#needs.log("destination changed", { destination: name, stop, limits, detours });
  }
}
