/**
 * The Destination, a Durable Object: the one place that knows how much mail is on its way to a destination. A large provider
 * has an object of its own; others share one, each with its own pace, since an object a domain would cost a start and two
 * calls for every message to a new one. Leases are soft: in memory, renewed by reports, told anew to an object that
 * restarted. What must not be forgotten is a row, written only when it changes. Every call may be made twice.
 */
import { DurableObject } from "cloudflare:workers";
import { Hosted } from "./hosted.ts";
import { type Answer, type Ask, NOTHING, type Report } from "./lease.ts";
import { type Kept, Pace } from "./pace.ts";
import { isProvider, isShared, ruleOf } from "./rules.ts";

export interface DestinationNeeds {
  now(): number;
  /** In [0, 1). */
  random(): number;
  log(event: string, fields: Record<string, unknown>): void;
}

/** Said to one destination, named as `destinationOf` has it. */
export type Call = { name: string; ask: Ask } | { name: string; report: Report };

/** An object as a consumer sees it: many calls travel together, and each has its answer. */
export interface DestinationPort {
  talk(calls: Call[]): Promise<Answer[]>;
}

export type DestinationState = ReturnType<Pace["describe"]> & {
  name: string;
  /** Whose mail servers answered for it, where they are a large provider's. */
  hostedBy?: string;
  /** The provider that its mail counts to; that one's state holds. */
  goesTo?: string;
};

/** Above this, destinations that nothing is known of are forgotten. */
const MANY = 2_000;

const keyOf = (name: string) => `kept/${name}`;

export class DestinationObject extends DurableObject implements DestinationPort {
  readonly #needs: DestinationNeeds;
  readonly #known = new Map<string, { pace: Pace; kept: string }>();
  readonly #hosted = new Hosted();

  constructor(ctx: DurableObjectState, env: object, needs: DestinationNeeds) {
    super(ctx, env);
    this.#needs = needs;
  }

  async talk(calls: Call[]): Promise<Answer[]> {
    const now = this.#needs.now();
    return calls.map((call) => {
      const provider = this.#providerOf(call, now);
      const goesTo = provider && isShared(provider) ? provider : undefined;
      if (goesTo && "ask" in call) return { ...NOTHING, goesTo };
      const { pace } = this.#load(call.name);
      pace.follow(ruleOf(provider ?? call.name));
      const wanted = goesTo ? { wanted: 0 } : {};
      const answer =
        "ask" in call ? pace.lease(now, call.ask) : pace.report(now, { ...call.report, ...wanted });
      this.#keep(call.name);
      return goesTo ? { ...answer, goesTo } : answer;
    });
  }

  /** Who takes a domain's mail, as its MX hosts told. A provider's own mail stays. */
  #providerOf(call: Call, now: number): string | undefined {
    if (isProvider(call.name)) return undefined;
    const provider = "report" in call && call.report.evidence.findLast((e) => e.provider)?.provider;
    if (provider) this.#hosted.learn(call.name, provider, now);
    return this.#hosted.providerOf(call.name, now);
  }

  /** For people: why mail for these destinations waits, which way it goes, how it went lately. Changes nothing. */
  async describe(names: string[]): Promise<DestinationState[]> {
    const now = this.#needs.now();
    return names.map((name) => {
      const hostedBy = isProvider(name) ? undefined : this.#hosted.providerOf(name, now);
      // One that nobody talks to is not remembered for being looked at.
      const pace = this.#known.get(name)?.pace ?? this.#read(name);
      pace.follow(ruleOf(hostedBy ?? name));
      const goesTo = hostedBy && isShared(hostedBy) ? { goesTo: hostedBy } : {};
      return { name, ...pace.describe(now), ...(hostedBy ? { hostedBy } : {}), ...goesTo };
    });
  }

  /** Somebody says that it is worth trying now. */
  async resume(name: string): Promise<void> {
    this.#load(name).pace.resume(this.#needs.now());
    this.#keep(name);
  }

  #load(name: string): { pace: Pace; kept: string } {
    const known = this.#known.get(name);
    if (known) return known;
    if (this.#known.size >= MANY) this.#forgetIdle();
    const pace = this.#read(name);
    const entry = { pace, kept: JSON.stringify(pace.kept()) };
    this.#known.set(name, entry);
    return entry;
  }

  #read(name: string): Pace {
    return new Pace(ruleOf(name), this.#needs.random, this.ctx.storage.kv.get<Kept>(keyOf(name)));
  }

  #keep(name: string): void {
    const entry = this.#load(name);
    const state = entry.pace.kept();
    const kept = JSON.stringify(state);
    if (kept === entry.kept) return;
    entry.kept = kept;
    const { stop, limits, detours } = state;
    if (stop || limits || detours.length > 0) this.ctx.storage.kv.put(keyOf(name), state);
    else this.ctx.storage.kv.delete(keyOf(name));
    this.#needs.log("destination changed", { destination: name, stop, limits, detours });
  }

  #forgetIdle(): void {
    const now = this.#needs.now();
    for (const [name, { pace }] of this.#known) if (pace.isIdle(now)) this.#known.delete(name);
  }
}
