/**
 * The floors: the least that a durable accept can be on this platform. A bare Hono Worker and one Durable Object; no
 * tokens, no checks, no MIME, no delivery, no index but the row's number. It answers in the product's shape, so that one
 * load generator can count both.
 */
import { DurableObject } from "cloudflare:workers";
import { Hono } from "hono";

interface Env {
  FLOOR: DurableObjectNamespace<Floor>;
}

export class Floor extends DurableObject<Env> {
  #waiting: string[] = [];
  #commit: Promise<void> | undefined;
  #next: number;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, at INTEGER, message TEXT)");
    this.#next = Number(sql.exec("SELECT coalesce(max(id), 0) + 1 AS next FROM messages").one().next);
  }

  /** "workerd-group": the rows of one turn in one transaction, one insert a message; every caller waits for the flush. */
  async add(message: string): Promise<number> {
    const id = this.#next + this.#waiting.push(message) - 1;
    this.#commit ??= this.#commitSoon();
    await this.#commit;
    return id;
  }

  async #commitSoon(): Promise<void> {
    await scheduler.wait(0);
    const messages = this.#waiting;
    this.#waiting = [];
    this.#commit = undefined;
    const { sql } = this.ctx.storage;
    this.ctx.storage.transactionSync(() => {
      for (const message of messages)
        sql.exec("INSERT INTO messages VALUES (?, ?, ?)", this.#next++, Date.now(), message);
    });
  }

  /** "workerd-batch": a whole request in one statement; the number of the first. */
  addAll(messages: string, count: number): number {
    const first = this.#next;
    this.#next += count;
    this.ctx.storage.sql.exec(
      "INSERT INTO messages SELECT ? + key, ?, value FROM json_each(?)",
      first,
      Date.now(),
      messages,
    );
    return first;
  }
}

interface Posted {
  To: string;
}

const answer = ({ To }: Posted, id: number) => ({
  To,
  SubmittedAt: new Date().toISOString(),
  MessageID: String(id),
  ErrorCode: 0,
  Message: "OK",
});

const app = new Hono<{ Bindings: Env }>();
const object = (env: Env) => env.FLOOR.get(env.FLOOR.idFromName("floor"));

app.post("/email", async (c) => {
  const message = await c.req.json<Posted>();
  return c.json(answer(message, await object(c.env).add(JSON.stringify(message))));
});

app.post("/email/batch", async (c) => {
  const messages = await c.req.json<Posted[]>();
  const first = await object(c.env).addAll(JSON.stringify(messages), messages.length);
  return c.json(messages.map((message, i) => answer(message, first + i)));
});

export default app;
