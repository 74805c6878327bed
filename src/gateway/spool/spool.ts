/**
 * Takes what the SMTP door has read, and answers for it: a receipt means that the message is on a disk, the Worker's or our own.
 * The Worker is asked first; while it is away the spool keeps the mail and forwards it later.
 */
import type { Reply } from "../../mail/reply.ts";
import type { SpoolLimits } from "../config.ts";
import type { Intake, Receipt, Submitted } from "../intake.ts";
import { Breaker, Breakers } from "./breaker.ts";
import { Collector, MAX_BYTES_IN_HAND, TOO_MUCH } from "./collect.ts";
import { Folder, PLACES, type Place } from "./folder.ts";
import { Forwarder } from "./forward.ts";
import { Keep } from "./keep.ts";
import type { SpoolMetrics } from "./metrics.ts";
import { FAILED, FULL, Room } from "./room.ts";
import { WaitingList } from "./waiting.ts";

/** So soon a retry by hand is seen, when all names fit in memory; else when the window has run dry, or after the longer one. */
const RESCAN_MS = 2_500;
const RESCAN_MANY_MS = 60_000;
const RESCAN_URGENT_MS = 500;

export interface SpoolNeeds {
  /** See spoolFolder. */
  folder: string;
  limits: SpoolLimits;
  worker: {
    frames(path: string, bytes: Uint8Array, ms: number): Promise<unknown[]>;
    json(path: string, body: object | undefined, ms: number): Promise<unknown>;
  };
  metrics: SpoolMetrics;
  log(event: string, fields: Record<string, unknown>): void;
}

export interface Totals {
  batches: number;
  messages: number;
  bytes: number;
}

export interface SpoolState {
  waiting: Totals;
  held: Totals;
  damaged: Totals;
  /** Of all three. */
  bytes: number;
  /** 0 when nothing waits. */
  oldestSeconds: number;
  isWorkerUp: boolean;
  isWritable: boolean;
  hasRoom: boolean;
  inFlight: number;
  bytesInHand: number;
}

export class Spool implements Intake {
  readonly #needs: SpoolNeeds;
  readonly #folder: Folder;
  readonly #waiting: WaitingList;
  readonly #room: Room;
  readonly #keep: Keep;
  readonly #breaker = new Breaker();
  readonly #collector: Collector;
  readonly #forwarder: Forwarder;
  readonly #totals: Record<Exclude<Place, "waiting">, Totals> = { held: noTotals(), damaged: noTotals() };
  #isPrepared = false;
  #isAccessible = false;
  #scan: Promise<void> | undefined;
  #scannedAt = Number.NEGATIVE_INFINITY;

  constructor(needs: SpoolNeeds) {
    const { limits, worker, metrics, log } = needs;
    this.#needs = needs;
    this.#folder = new Folder(needs.folder);
    this.#waiting = new WaitingList(this.#folder);
    this.#room = new Room(needs.folder, limits, () => this.#bytes);
    this.#keep = new Keep({ folder: this.#folder, room: this.#room, waiting: this.#waiting, metrics, log });
    const common = {
      worker,
      keep: this.#keep,
      waiting: this.#waiting,
      breaker: this.#breaker,
      groups: new Breakers(),
      metrics,
      log,
    };
    this.#collector = new Collector({
      ...common,
      patience: limits.patience,
      changed: () => this.#forwarder.pump(),
    });
    this.#forwarder = new Forwarder({
      ...common,
      limits,
      folder: this.#folder,
      changed: () => this.#collector.pump(),
      rescan: (isUrgent) => this.#rescan(isUrgent),
    });
  }

  /** A disk that is not there yet is no reason not to start: the Worker may be there, and it is tried again. */
  async start(): Promise<void> {
    await this.#rescan(true);
    this.#forwarder.start();
  }

  /** What is in hand gets `ms` to be answered by the Worker, and is spooled else. Nothing may be taken any more. */
  async end(ms: number): Promise<void> {
    await Promise.all([this.#collector.end(ms), this.#forwarder.end(ms)]);
    await this.#scan;
  }

  take(message: Submitted): Promise<Receipt> {
    return this.#collector.take(message);
  }

  refusal(bytes: number): Reply | undefined {
    if (this.#collector.bytesInHand + bytes > MAX_BYTES_IN_HAND) return TOO_MUCH;
    if (!this.#breaker.isOpen || this.#breaker.isHalfOpen) return undefined;
    void this.#room.look();
    if (!this.#isAccessible) return FAILED;
    return this.#room.has(bytes) ? undefined : FULL;
  }

  state(): SpoolState {
    const { oldestAt } = this.#waiting;
    const { batches, messages, bytes } = this.#waiting;
    return {
      waiting: { batches, messages, bytes },
      ...this.#totals,
      bytes: this.#bytes,
      oldestSeconds: oldestAt === undefined ? 0 : Math.max(0, (Date.now() - oldestAt) / 1_000),
      isWorkerUp: !this.#breaker.isOpen || this.#breaker.isHalfOpen,
      isWritable: this.#isAccessible && !this.#keep.isFailing,
      hasRoom: this.#room.has(0),
      inFlight: this.#collector.inFlight,
      bytesInHand: this.#collector.bytesInHand,
    };
  }

  /** Whether mail would be kept if the Worker went away now. */
  ready(): boolean {
    const { isWritable, hasRoom } = this.state();
    return isWritable && hasRoom;
  }

  get #bytes(): number {
    return this.#waiting.bytes + this.#totals.held.bytes + this.#totals.damaged.bytes;
  }

  #rescan(isUrgent: boolean): Promise<void> {
    const usual = this.#waiting.hasMore ? RESCAN_MANY_MS : RESCAN_MS;
    if (performance.now() - this.#scannedAt < (isUrgent ? RESCAN_URGENT_MS : usual)) return Promise.resolve();
    this.#scan ??= this.#look().finally(() => {
      this.#scan = undefined;
      this.#scannedAt = performance.now();
    });
    return this.#scan;
  }

  async #look(): Promise<void> {
    try {
      if (!this.#isPrepared) await this.#folder.prepare();
      this.#isPrepared = true;
      await this.#waiting.scan();
      for (const place of PLACES) if (place !== "waiting") this.#totals[place] = await this.#count(place);
      await this.#room.look();
      await this.#folder.checkWritable();
      // A write that failed has its cause in a disk that was full or broken for a while: the next one may succeed.
      if (this.#keep.isFailing) this.#keep.isFailing = !(await this.#keep.canWrite());
      this.#isAccessible = true;
    } catch (error) {
      // Said by the state, and tried again at the next turn.
      this.#isAccessible = false;
      this.#needs.log("spool: the folder can't be used", { alarm: true, error: String(error) });
    }
  }

  async #count(place: Place): Promise<Totals> {
    const totals = noTotals();
    for await (const { messages, bytes } of this.#folder.entries(place)) {
      totals.batches++;
      totals.messages += messages;
      totals.bytes += bytes;
    }
    return totals;
  }
}

function noTotals(): Totals {
  return { batches: 0, messages: 0, bytes: 0 };
}
