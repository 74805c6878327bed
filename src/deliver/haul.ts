/**
 * A consumer's messages for one destination: begins as many as the Destination says, reports what came of them, and gives
 * the rest back when it is told to wait. A slow message does not keep the others of its destination from beginning.
 */
import type { TransportName } from "../mail/outcome.ts";
import { attempt } from "./attempt.ts";
import { type Evidence, nothing, toEvidence } from "./evidence.ts";
import { type Answer, NOTHING, type Wait } from "./lease.ts";
import { route } from "./route.ts";
import type { Item, Shift } from "./shift.ts";
import { isTestDomain } from "./transport/test-addresses.ts";

/** So long a call goes on beginning messages; the rest is given back, for a call with its whole time before it. */
const BEGIN_MS = 10_000;
/** When neither says how long: a Destination that can't be asked, a consumer that is full. */
const ASIDE_MS = 2_000;
const HASTE_MS = 20;
const TOGETHER_MS = 100;
/** As many as an Outbox hands over anyway. */
const ALL = 1_000;

export class Haul {
  readonly #name: string;
  /** Of its lease. */
  readonly #claimer: string;
  readonly #shift: Shift;
  #pending: Item[];
  #evidence: Evidence[] = [];
  #underWay = 0;
  #lanes = 0;
  #connections = 1;
  #wake: () => void = () => undefined;
  #asking = false;

  /** Several domains may go to one provider: `claimer` tells their leases apart. */
  constructor(name: string, items: Item[], shift: Shift, claimer = shift.claimer) {
    this.#name = name;
    this.#claimer = claimer;
    this.#pending = [...items];
    this.#shift = shift;
  }

  async run(): Promise<void> {
    const moved: Promise<void>[] = [];
    await this.#run(moved);
    await Promise.all(moved);
  }

  async #run(moved: Promise<void>[]): Promise<void> {
    const stopAt = this.#shift.needs.now() + BEGIN_MS;
    let answer = await this.#ask();
    for (;;) {
      this.#lanes = answer.lanes;
      this.#connections = answer.connections;
      this.#begin(answer);
      if (answer.goesTo && this.#pending.length > 0)
        moved.push(
          this.#shift.haul(answer.goesTo, this.#pending.splice(0), `${this.#claimer} ${this.#name}`),
        );
      if (answer.wait) await this.#giveBack(answer.wait);
      if (this.#underWay === 0 && this.#evidence.length === 0 && this.#pending.length === 0) return;
      await this.#next(answer, stopAt);
      const now = this.#shift.needs.now();
      if (now >= stopAt) await this.#giveBack({ until: now, reason: "handed over again", admit: ALL });
      answer = await this.#ask();
    }
  }

  /** The heartbeat of a lease whose messages take long. */
  async renew(): Promise<void> {
    if (this.#underWay === 0 || this.#asking || isTestDomain(this.#name)) return;
    const claimer = this.#claimer;
    const report = { claimer, wanted: 0, evidence: [], underWay: this.#underWay, lanes: this.#lanes };
    await this.#shift.tell({ name: this.#name, report });
  }

  async #ask(): Promise<Answer> {
    const { needs } = this.#shift;
    const claimer = this.#claimer;
    const wanted = this.#pending.length;
    const evidence = this.#evidence.splice(0);
    if (isTestDomain(this.#name)) return { ...NOTHING, count: wanted };
    const name = this.#name;
    this.#asking = true;
    try {
      if (evidence.length === 0 && this.#underWay === 0)
        return await this.#shift.tell({ name, ask: { claimer, wanted } });
      const report = { claimer, wanted, evidence, underWay: this.#underWay, lanes: this.#lanes };
      return await this.#shift.tell({ name, report });
    } catch (error) {
      // Mail waits for its Destination a little rather than going unpaced.
      needs.log("destination not asked", { destination: name, error: String(error) });
      const wait = { until: needs.now() + ASIDE_MS, reason: `${name} can't be asked`, admit: ALL };
      return { ...NOTHING, lanes: this.#lanes, connections: this.#connections, wait };
    } finally {
      this.#asking = false;
    }
  }

  #begin({ count, avoid, trial, firstMs, everyMs }: Answer): void {
    this.#pending.splice(0, count).forEach(async (item, i) => {
      this.#underWay++;
      // Its turn at the destination's rate; claimed only then.
      const ms = firstMs + i * everyMs;
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      const evidence = await this.#one(item, avoid, i === 0 ? trial : undefined);
      this.#underWay--;
      this.#evidence.push(evidence);
      this.#wake();
    });
  }

  /** Never rejects. */
  async #one(item: Item, avoid: TransportName[], trial: TransportName | undefined): Promise<Evidence> {
    const shift = this.#shift;
    try {
      const claim = await shift.claim(item);
      if (claim === "left") {
        this.#pending.push(item);
        return nothing("gateway");
      }
      if (claim === "full") {
        await shift.hold([item], {
          until: shift.needs.now() + ASIDE_MS,
          reason: "consumer is full",
          admit: ALL,
        });
        return nothing("gateway");
      }
      item.handedOn();
      if (claim === "gone") return nothing("gateway");
      const order = route(claim.transports, avoid, trial);
      const way = { order, connections: this.#connections, destination: this.#name };
      const settlement = await attempt(claim, way, shift.needs);
      if (!settlement) {
        shift.release(item.ref);
        return nothing(order[0] ?? "gateway", "unknown");
      }
      shift.finish(item, settlement);
      return toEvidence(settlement.transport, settlement.outcomes);
    } catch (error) {
      shift.needs.log("not claimed", {
        shard: item.shard,
        messageId: item.ref.messageId,
        error: String(error),
      });
      item.failed();
      shift.release(item.ref);
      return nothing("gateway");
    }
  }

  async #giveBack(wait: Wait): Promise<void> {
    const items = this.#pending.splice(0);
    if (items.length > 0) await this.#shift.hold(items, wait);
  }

  /**
   * Until something ended, or it is time to ask again. Outcomes that come soon after are reported together, since each
   * report is a call that is billed; less so while more is to begin. What waits to begin is not kept behind what takes long.
   */
  async #next({ askAgainMs }: Answer, stopAt: number): Promise<void> {
    const atMostMs = this.#pending.length > 0 ? Math.max(0, stopAt - this.#shift.needs.now()) : undefined;
    if (this.#evidence.length === 0 && (this.#underWay > 0 || askAgainMs > 0))
      await this.#until(1, askAgainMs > 0 ? askAgainMs : atMostMs);
    if (this.#evidence.length > 0 && this.#underWay > 0)
      await this.#until(
        this.#evidence.length + this.#underWay,
        this.#pending.length > 0 ? HASTE_MS : TOGETHER_MS,
      );
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** Until so many have ended that are not reported, or at most so long. */
  async #until(ended: number, atMostMs: number | undefined): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.#evidence.length >= ended) resolve();
      };
      if (atMostMs !== undefined) timer = setTimeout(resolve, atMostMs);
    });
    clearTimeout(timer);
  }
}
