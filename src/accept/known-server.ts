/**
 * What an Outbox knows of its server: the policy and the suppressions, kept in its own storage, so that accepting and
 * delivering go on when the directory is away. Refreshed by whoever asks when it is old.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { parseShardName } from "../mail/message-id.ts";
import { within } from "../mail/within.ts";
import { followChanges, type SuppressionPlace } from "../suppress/follow.ts";
import type { OutboxNeeds } from "./needs.ts";
import type { Known, Store } from "./store.ts";

/** With the same again in the Worker's own cache, a revoked token stops within a minute. */
const FRESH_MS = 30_000;
/** The directory is asked for so long; then what is known must do. */
const PATIENCE_MS = 2_000;
/** For each answer of the directory: who waits for one that never comes learns of no change any more. */
const ANSWER_MS = 30_000;

/** How a refreshing ended; "late" when something was changed meanwhile, which it may not have read. */
type Told = "told" | "away" | "late";

export class KnownServer {
  readonly #store: Store;
  readonly #needs: OutboxNeeds;
  #known: Known | undefined;
  #shard: string;
  #refreshing: Promise<Told> | undefined;
  /** That it was told of. */
  #changes = 0;

  /** `name` is the object's, where the runtime gives it; it is also kept, since an alarm need not know it. */
  constructor(store: Store, needs: OutboxNeeds, name: string | undefined) {
    this.#store = store;
    this.#needs = needs;
    this.#known = store.known();
    this.#shard = name ?? this.#known?.shard ?? "";
  }

  get shard(): string {
    return this.#shard;
  }

  set shard(name: string) {
    this.#shard ||= name;
  }

  get serverId(): number {
    return parseShardName(this.#shard).serverId;
  }

  /**
   * undefined when there is no such server, as the directory says. Throws when the directory is away and the server is not known here
   * yet: to say that it does not exist would be a lie, for which mail and logins are refused for good.
   */
  async policy(): Promise<ServerPolicy | undefined> {
    const age = this.#needs.now() - (this.#known?.fetchedAt ?? 0);
    if (age < FRESH_MS) return this.#known?.policy;
    const refreshing = this.#refreshOnce();
    // What is known answers at once while it is only a little old; else the directory gets its time.
    if (this.#known && age < 2 * FRESH_MS) return this.#known.policy;
    const told = await Promise.race([refreshing, scheduler.wait(PATIENCE_MS).then((): Told => "away")]);
    if (told === "late") return this.policy();
    if (!this.#known && told === "away")
      throw new Error("the directory is away, and this server is not known yet");
    return this.#known?.policy;
  }

  /** The policy was changed: whoever asks next has it read anew, also when it is being read just now. */
  expire(): void {
    this.#changes++;
    this.#refreshing = undefined;
    if (this.#known) this.#known = { ...this.#known, fetchedAt: 0 };
  }

  /** Whoever comes meanwhile waits for the same. */
  #refreshOnce(): Promise<Told> {
    if (this.#refreshing) return this.#refreshing;
    const refreshing = this.#refresh().finally(() => {
      if (this.#refreshing === refreshing) this.#refreshing = undefined;
    });
    this.#refreshing = refreshing;
    return refreshing;
  }

  /** Never rejects. */
  async #refresh(): Promise<Told> {
    const { now, log } = this.#needs;
    const before = this.#known;
    const changes = this.#changes;
    try {
      const policy = await within(ANSWER_MS, this.#needs.policy(this.serverId));
      if (changes !== this.#changes) return "late";
      if (!policy) {
        if (before) this.#known = undefined;
        return "told";
      }
      if (!before?.registered) await within(ANSWER_MS, this.#needs.registerShard(this.#shard));
      const since = before?.suppressionsUntil ?? 0;
      const suppressionsUntil = await this.#followSuppressions(since);
      if (changes !== this.#changes) return "late";
      this.#known = { shard: this.#shard, policy, fetchedAt: now(), suppressionsUntil, registered: true };
      const same =
        JSON.stringify({ ...before, fetchedAt: 0 }) === JSON.stringify({ ...this.#known, fetchedAt: 0 });
      if (!same) this.#store.learn(this.#known);
      return "told";
    } catch (error) {
      log("directory is away", { shard: this.#shard, error: String(error) });
      if (changes !== this.#changes) return "late";
      // The directory is away: go on with what is known, and do not ask at every call.
      if (before) this.#known = { ...before, fetchedAt: now() - FRESH_MS + 5_000 };
      return "away";
    }
  }

  /** Reads what changed, page by page; returns the time of the last change. */
  async #followSuppressions(since: number): Promise<number> {
    const { suppressionChanges } = this.#needs;
    let until = since;
    const read = (after: SuppressionPlace, limit: number) =>
      within(ANSWER_MS, suppressionChanges(this.serverId, after, limit));
    for await (const changes of followChanges(since, read)) {
      this.#store.changeSuppressions(changes);
      until = Math.max(until, changes.at(-1)?.changedAt ?? 0);
    }
    return until;
  }
}
