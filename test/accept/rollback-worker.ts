/**
 * The Worker of the tests of transactions that fail: an Outbox's store, shelf and group commit on the real storage of an object, of which
 * one statement throws, as it does when the disk is full. What the object then tells must be what its rows say.
 */
import { DurableObject } from "cloudflare:workers";
import { Commits } from "../../src/accept/commit.ts";
import type { AcceptRequest } from "../../src/accept/needs.ts";
import { expireGroups, settleAll } from "../../src/accept/settle.ts";
import { Shelf } from "../../src/accept/shelf.ts";
import { Store } from "../../src/accept/store.ts";
import type { Settlement } from "../../src/mail/job.ts";

interface Env {
  OBJECT: DurableObjectNamespace<Failing>;
}

export class Failing extends DurableObject<Env> {
  #left = Number.POSITIVE_INFINITY;
  readonly #store: Store;
  readonly #shelf: Shelf;
  readonly #commits: Commits;
  #committed = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    const exec: SqlStorage["exec"] = (...args) => {
      if (--this.#left < 0) throw new Error("database or disk is full");
      return storage.sql.exec(...args);
    };
    this.#store = new Store({
      sql: { exec } as SqlStorage,
      transactionSync: (write: () => unknown) => storage.transactionSync(write),
    } as DurableObjectStorage);
    this.#shelf = new Shelf(this.#store, 0);
    this.#commits = new Commits(this.#store, this.#shelf, () => this.#committed++, Date.now);
  }

  /** All of them in one turn; whether each was taken. */
  async accept(requests: AcceptRequest[]): Promise<boolean[]> {
    const ended = await Promise.allSettled(requests.map((request) => this.#commits.accept(request)));
    return ended.map(({ status }) => status === "fulfilled");
  }

  /** Everybody gets their message; then it may be forgotten. */
  deliverAll(): void {
    for (const { pack, progress } of this.#shelf.newestFirst()) {
      for (const { recipients } of progress.groups) for (const r of recipients) r.state = "delivered";
      this.#shelf.save(pack, 0);
    }
  }

  settle(settlements: Settlement[]): string {
    const context = { store: this.#store, shelf: this.#shelf, now: 2_000, random: () => 0.5 };
    return this.#trying(() => settleAll(settlements, context));
  }

  /** Everybody who waits has waited too long. */
  expireAll(): string {
    const waiting = [...this.#shelf.newestFirst()];
    const refs = waiting.flatMap(({ message: { id: messageId, groups } }) =>
      groups.map(({ domain }) => ({ messageId, domain })),
    );
    return this.#trying(() => expireGroups(refs, this.#shelf, Date.now()));
  }

  /** Answers become that much older. */
  age(ms: number): void {
    this.ctx.storage.sql.exec("UPDATE answers SET at = at - ?", ms);
  }

  remove(): string {
    return this.#trying(() => this.#shelf.remove(this.#ids()));
  }

  /** The first message of each pack. */
  forget(): string {
    return this.#trying(() => {
      for (const id of this.#ids()) {
        const pack = this.#shelf.pack(id);
        if (pack) this.#shelf.forget(pack, new Set([0]));
      }
    });
  }

  #ids(): number[] {
    const rows = this.ctx.storage.sql.exec("SELECT id FROM packs ORDER BY id").toArray();
    return rows.map(({ id }) => Number(id));
  }

  #trying(what: () => void): string {
    try {
      what();
      return "done";
    } catch (error) {
      return String(error);
    }
  }

  /** So many more statements go well, and the one after them throws. */
  failAfter(statements: number | null): void {
    this.#left = statements ?? Number.POSITIVE_INFINITY;
  }

  /** As this object has it, and as one does that begins with the rows. */
  state() {
    const tell = (store: Store, shelf: Shelf) => ({
      ledger: store.ledger(),
      isUnused: store.isUnused,
      messages: [...shelf.newestFirst()].map((found) => found.message.id),
      size: shelf.size,
      lines: shelf.lines.size,
      withoutLine: shelf.waitingWithoutLine(),
    });
    const fresh = new Store(this.ctx.storage);
    const committed = this.#committed;
    return { now: tell(this.#store, this.#shelf), anew: tell(fresh, new Shelf(fresh, 0)), committed };
  }
}

export default {
  /** `POST /<object>/<method>` with the arguments; a body is given as text. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, object = "", method = ""] = new URL(request.url).pathname.split("/");
    const args = JSON.parse(await request.text(), (key, value) =>
      key === "body" && typeof value === "string" ? new TextEncoder().encode(value) : value,
    ) as unknown[];
    const stub = env.OBJECT.get(env.OBJECT.idFromName(object));
    const bound = stub as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    return Response.json({ ok: (await bound[method]?.(...args)) ?? null });
  },
};
