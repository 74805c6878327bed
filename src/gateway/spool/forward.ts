/**
 * Hands the spool's batches to the Worker, oldest first and some at once. While the Worker is away a batch at a time is the probe.
 * A file goes only when the Worker has said that it has the batch; it comes again with the same key until then, and is taken once.
 */
import type { IngressResult } from "../../mail/ingress.ts";
import { type Answers, type Asks, readAnswers } from "./answer.ts";
import type { Breaker, Breakers } from "./breaker.ts";
import { DamagedError, readSpoolFile, type SpoolFile } from "./file.ts";
import type { Folder } from "./folder.ts";
import { holdRefused } from "./hold.ts";
import type { Keep } from "./keep.ts";
import { countBatch, type SpoolMetrics } from "./metrics.ts";
import type { Waiting, WaitingList } from "./waiting.ts";

/** Each holds a batch of up to 12 MB. */
const LANES = 4;
/** Between two attempts for one batch, so that one that always fails does not keep the others from being tried. */
const FIRST_AGAIN_MS = 500;
const LONGEST_AGAIN_MS = 60_000;
/** From here on the batch is as likely at fault as the Worker, and is no proof that it is away. */
const SUSPECT_ATTEMPTS = 3;
/** While something waits, and while nothing does. */
const BUSY_TICK_MS = 250;
const IDLE_TICK_MS = 3_000;
const PROBE_MS = 5_000;

export interface ForwardNeeds {
  worker: Asks & {
    json(path: string, body: object | undefined, ms: number): Promise<unknown>;
  };
  limits: { patience: number; forward: number; age: number };
  folder: Folder;
  keep: Keep;
  waiting: WaitingList;
  breaker: Breaker;
  groups: Breakers;
  metrics: SpoolMetrics;
  log(event: string, fields: Record<string, unknown>): void;
  /** The Worker is back. */
  changed(): void;
  /** Reads the folders again, when it is time. */
  rescan(isUrgent: boolean): Promise<void>;
}

export class Forwarder {
  readonly #needs: ForwardNeeds;
  readonly #lanes = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #tickMs = 0;
  #isStarted = false;
  #hasEnded = false;

  constructor(needs: ForwardNeeds) {
    this.#needs = needs;
  }

  start(): void {
    this.#isStarted = true;
    this.#tick();
  }

  /** Begins nothing new; what is under way may take so long, and is asked about again at the next start. */
  async end(ms: number): Promise<void> {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([Promise.all(this.#lanes), late]);
    clearTimeout(timer);
  }

  /** Something has come into the spool, or the Worker has answered. */
  pump(): void {
    this.#forwardSome();
    // From idle to busy the next turn comes sooner.
    if (this.#isStarted && !this.#hasEnded && this.#tickMs > this.#wantedTickMs) this.#arm();
  }

  #forwardSome(): void {
    const { breaker, groups, waiting } = this.#needs;
    const now = performance.now();
    // While the Worker is away, a batch that has failed often is no probe: it may be the batch. When it answers again, one is tried all
    // the same: without new mail nobody else would find out that it takes mail.
    const isAway = breaker.isOpen && !breaker.isHalfOpen;
    const mayGo = ({ notBefore, group, attempts }: Waiting) =>
      notBefore <= now && groups.mayProbe(group, now) && !(isAway && attempts >= SUSPECT_ATTEMPTS);
    while (this.#isStarted && !this.#hasEnded && this.#lanes.size < (breaker.isOpen ? 1 : LANES)) {
      if (breaker.isOpen && !breaker.mayProbe(now)) return;
      const entry = waiting.next(mayGo);
      if (!entry && !breaker.isOpen) {
        if (waiting.hasMore) void this.#needs.rescan(true);
        return;
      }
      if (entry) entry.isBusy = true;
      this.#run(entry ? this.#forward(entry) : this.#probe());
    }
  }

  #run(work: Promise<void>): void {
    const lane = work
      // A fault of ours or of the disk: the file is where it was, and is tried again.
      .catch((error: unknown) => this.#needs.log("spool: forwarding failed", { error: String(error) }))
      .finally(() => {
        this.#lanes.delete(lane);
        this.pump();
      });
    this.#lanes.add(lane);
  }

  #tick(): void {
    if (this.#hasEnded) return;
    const { waiting, groups, rescan } = this.#needs;
    if (!waiting.hasMore) groups.forgetExcept(waiting.groups);
    void rescan(false);
    this.#forwardSome();
    this.#arm();
  }

  get #wantedTickMs(): number {
    const { waiting, breaker } = this.#needs;
    return waiting.batches > 0 || breaker.isOpen ? BUSY_TICK_MS : IDLE_TICK_MS;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#tickMs = this.#wantedTickMs;
    this.#timer = setTimeout(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  /** Nothing waits that could be a probe. */
  async #probe(): Promise<void> {
    const { worker, breaker, log } = this.#needs;
    const startedAt = performance.now();
    try {
      await worker.json("/gateway/domains", undefined, PROBE_MS);
      breaker.answered(performance.now());
      this.#needs.changed();
    } catch (error) {
      // It is still away, which is what was asked.
      breaker.failed(startedAt, performance.now());
      log("intake: the Worker is away", { error: String(error).slice(0, 300) });
    }
  }

  async #forward(entry: Waiting): Promise<void> {
    try {
      if (entry.isAccepted) return await this.#remove(entry);
      if (Date.now() - entry.at > this.#needs.limits.age) return await this.#holdOld(entry);
      const file = await this.#read(entry);
      if (file) await this.#handOver(entry, file);
    } catch (error) {
      this.#again(entry);
      throw error;
    } finally {
      entry.isBusy = false;
    }
  }

  async #read(entry: Waiting): Promise<SpoolFile | undefined> {
    const { folder, waiting, metrics, log } = this.#needs;
    const { name, key, messages, bytes } = entry;
    try {
      return await readSpoolFile(folder.pathOf("waiting", name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        // Somebody has moved it.
        waiting.remove(entry);
        return undefined;
      }
      if (!(error instanceof DamagedError)) throw error;
      await folder.move("waiting", "damaged", name);
      waiting.remove(entry);
      countBatch(metrics, "damaged", messages);
      log("spool: a file is damaged", { alarm: true, key, messages, bytes, error: error.message });
      return undefined;
    }
  }

  async #handOver(entry: Waiting, { head, frame }: SpoolFile): Promise<void> {
    const { worker, limits, breaker, groups, log } = this.#needs;
    const { key, group } = entry;
    const startedAt = performance.now();
    // A probe that hangs would hide for long that the Worker is back.
    const ms = breaker.isOpen ? Math.min(limits.patience, limits.forward) : limits.forward;
    let answers: Answers | undefined;
    let error = "no results";
    try {
      answers = readAnswers(await worker.frames("/gateway/ingress", frame, ms), [head]);
    } catch (cause) {
      // Nobody knows whether the Worker has it. It is asked again.
      error = String(cause).slice(0, 300);
    }
    const now = performance.now();
    const results = answers?.results.get(head.key);
    const wasOpen = breaker.isOpen;
    if (answers?.isWorker) breaker.succeeded(now);
    else if (entry.attempts < SUSPECT_ATTEMPTS || breaker.isOpen) breaker.failed(startedAt, now);
    if (wasOpen && !breaker.isOpen) this.#needs.changed();
    if (!results) {
      if (answers?.isWorker) groups.failed(group, startedAt, now);
      this.#again(entry);
      log("spool: not taken", { key, attempts: entry.attempts, error });
      return;
    }
    groups.forget(group);
    await this.#taken(entry, { head, frame }, results);
  }

  async #taken(entry: Waiting, file: SpoolFile, results: IngressResult[]): Promise<void> {
    const { metrics, log } = this.#needs;
    if (results.some(({ accepted }) => !accepted)) await holdRefused(entry, { file, results }, this.#needs);
    entry.isAccepted = true;
    const accepted = results.filter((result) => result.accepted).length;
    if (accepted > 0) countBatch(metrics, "forwarded", accepted);
    const seconds = Math.round((Date.now() - entry.at) / 1_000);
    log("forwarded", { key: entry.key, messages: accepted, refused: results.length - accepted, seconds });
    await this.#remove(entry);
  }

  async #remove(entry: Waiting): Promise<void> {
    await this.#needs.folder.remove("waiting", entry.name);
    this.#needs.waiting.remove(entry);
  }

  async #holdOld(entry: Waiting): Promise<void> {
    const { folder, waiting, metrics, log } = this.#needs;
    const { name, key, messages } = entry;
    await folder.move("waiting", "held", name);
    waiting.remove(entry);
    countBatch(metrics, "held", messages);
    log("spool: a batch is held, for its age", { alarm: true, key, messages });
  }

  #again(entry: Waiting): void {
    // The Worker's absence is the breaker's matter; when it is back, no batch should wait for long. A suspect lets all others try before.
    const isSuspect = entry.attempts >= SUSPECT_ATTEMPTS;
    const away = isSuspect ? LONGEST_AGAIN_MS : FIRST_AGAIN_MS;
    const backOff = Math.min(LONGEST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** entry.attempts);
    entry.notBefore = performance.now() + (this.#needs.breaker.isOpen ? away : backOff);
    entry.attempts++;
  }
}
