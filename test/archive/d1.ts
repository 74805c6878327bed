/**
 * D1 as tests in Node use it: statements go to a Worker in workerd, which has the databases bound and runs them there, one request for a
 * call. Miniflare's own client makes three requests for a statement, blocks its thread for two of them, and grows slower with each.
 */
import http from "node:http";
import type { Miniflare, MiniflareOptions } from "miniflare";

type Way = "all" | "run" | "raw" | "first" | "batch";

/** What a Worker with the bindings `names` is to be made of. */
export function d1Worker(names: string[]): MiniflareOptions & { name: string } {
  return {
    name: "d1",
    modules: true,
    script: DOOR,
    compatibilityDate: "2026-08-04",
    d1Databases: names,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

/** Runs what it is told to; what D1 throws is told with its own words. */
const DOOR = `
const toValue = (v) => (v && typeof v === "object" ? Uint8Array.from(atob(v.blob), (c) => c.charCodeAt(0)) : v);
export default {
  async fetch(request, env) {
    const { database, way, statements } = await request.json();
    const db = env[database];
    try {
      const all = statements.map(({ sql, values }) => db.prepare(sql).bind(...values.map(toValue)));
      return Response.json({ answer: await (way === "batch" ? db.batch(all) : all[0][way]()) });
    } catch (error) {
      return Response.json({ error: String(error.message) });
    }
  },
};`;

/** One of the databases of a Miniflare that runs `d1Worker`. */
export async function openD1(miniflare: Miniflare, database: string): Promise<D1Database> {
  const { href: url } = await miniflare.unsafeGetDirectURL("d1");
  const ask = async (way: Way, statements: Statement[]): Promise<unknown> => {
    const said = await post(url, JSON.stringify({ database, way, statements }));
    const { answer, error } = JSON.parse(said) as { answer?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return answer;
  };
  const db = {
    prepare: (sql: string) => new Statement(ask, sql, []),
    batch: (statements: Statement[]) => ask("batch", statements),
  };
  return db as unknown as D1Database;
}

class Statement {
  readonly #ask: (way: Way, statements: Statement[]) => Promise<unknown>;
  readonly sql: string;
  readonly values: unknown[];

  constructor(ask: (way: Way, statements: Statement[]) => Promise<unknown>, sql: string, values: unknown[]) {
    this.#ask = ask;
    this.sql = sql;
    this.values = values;
  }

  bind(...values: unknown[]): Statement {
    return new Statement(this.#ask, this.sql, values.map(toWire));
  }

  all(): Promise<unknown> {
    return this.#ask("all", [this]);
  }

  run(): Promise<unknown> {
    return this.#ask("run", [this]);
  }

  raw(): Promise<unknown> {
    return this.#ask("raw", [this]);
  }

  async first(column?: string): Promise<unknown> {
    const row = (await this.#ask("first", [this])) as Record<string, unknown> | null;
    return row && column !== undefined ? row[column] : row;
  }
}

/** As D1 has it, but for what JSON would lose on the way. */
function toWire(value: unknown): unknown {
  if (value === undefined)
    throw new Error("D1_TYPE_ERROR: Type 'undefined' not supported for value 'undefined'");
  if (value instanceof ArrayBuffer) return { blob: Buffer.from(value).toString("base64") };
  if (!ArrayBuffer.isView(value)) return value;
  return { blob: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
}

/** In a connection of its own: workerd closes one that was idle for five seconds, perhaps in the moment in which something is sent. */
function post(url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => resolve(Buffer.concat(pieces).toString()));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}
