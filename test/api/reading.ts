/** The reading routes behind the API's door, on real databases; what lies beyond their port is played here, and can be taken away. */
import type { Hono } from "hono";
import { createAccount, createServer, createToken } from "../../src/accounts/create.ts";
import { loadPolicy, type ServerPolicy } from "../../src/accounts/policy.ts";
import { hashToken, serverIdOf } from "../../src/accounts/token.ts";
import { bounceEndpoints } from "../../src/api/bounces.ts";
import { door } from "../../src/api/door.ts";
import { mount } from "../../src/api/endpoint.ts";
import { messageEndpoints } from "../../src/api/messages.ts";
import type { Held, ReadNeeds } from "../../src/api/read-needs.ts";
import { suppressionEndpoints } from "../../src/api/suppressions.ts";
import { pendingOf } from "../../src/archive/pending.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

/** As D1 fails when it is away. */
const AWAY = {
  prepare() {
    throw new Error("D1_ERROR: away");
  },
  batch: () => Promise.reject(new Error("D1_ERROR: away")),
} as unknown as D1Database;

export interface Reading {
  db: Databases;
  app: Hono;
  serverId: number;
  token: string;
  otherServerId: number;
  otherToken: string;
  /** What Outboxes hold, by id. */
  held: Map<string, Held>;
  /** R2's objects. */
  objects: Map<string, Uint8Array>;
  announced: { serverId: number; stream: string; email: string; removed: boolean }[];
  logged: Record<string, unknown>[];
  away: { archive: boolean; directory: boolean; outboxes: boolean };
  clear(): Promise<void>;
  call(method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
}

export interface Answer {
  status: number;
  code: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  json: any;
}

export async function openReading(): Promise<Reading> {
  const db = await openDatabases();
  const accountId = await createAccount(db.directory, "Acme", NOON);
  const server = async (name: string) => {
    const { id } = await createServer(db.directory, { accountId, name }, NOON);
    const token = await createToken(db.directory, { kind: "server", accountId, serverId: id }, NOON);
    return { id, token, policy: (await loadPolicy(db.directory, id)) as ServerPolicy };
  };
  const [ours, other] = [await server("Live"), await server("Other")];
  const reading: Reading = {
    db,
    app: undefined as unknown as Hono,
    serverId: ours.id,
    token: ours.token,
    otherServerId: other.id,
    otherToken: other.token,
    held: new Map(),
    objects: new Map(),
    announced: [],
    logged: [],
    away: { archive: false, directory: false, outboxes: false },
    async clear() {
      reading.held.clear();
      reading.objects.clear();
      reading.announced.length = 0;
      reading.logged.length = 0;
      Object.assign(reading.away, { archive: false, directory: false, outboxes: false });
      await db.archive.batch(
        ["search", "message_counts", "messages", "recipients", "bounces"].map((table) =>
          db.archive.prepare(`DELETE FROM ${table}`),
        ),
      );
      await db.directory.prepare("DELETE FROM suppressions").run();
    },
    async call(method, path, body, token = reading.token) {
      const response = await reading.app.request(path, {
        method,
        headers: { "X-Postmark-Server-Token": token, "Content-Type": "application/json" },
        body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
      });
      const code = response.headers.get("X-PM-ApiErrorCode");
      return { status: response.status, code, json: await response.json() };
    },
  };
  const outboxes = <T>(value: T) =>
    reading.away.outboxes ? Promise.reject(new Error("Outbox: away")) : Promise.resolve(value);
  const needs: ReadNeeds = {
    async authenticate(token) {
      const policy = [ours, other].find((s) => s.id === serverIdOf(token))?.policy;
      const hash = await hashToken(token);
      const known = policy?.tokens.find((t) => t.hash === hash);
      return policy && known && { policy, token: known };
    },
    retryAfter: async () => 0,
    archive: () => (reading.away.archive ? AWAY : db.archive),
    get directory() {
      return reading.away.directory ? AWAY : db.directory;
    },
    pending(serverId, { filter, page }) {
      const records = [...reading.held.values()].map((h) => h.record).filter((r) => r.serverId === serverId);
      return outboxes({ ...pendingOf(records, filter, page), isQuiet: records.length === 0 });
    },
    held: (serverId, id) => {
      const held = reading.held.get(id);
      return outboxes(held?.record.serverId === serverId ? held : undefined);
    },
    segment: async (key, offset, length) => reading.objects.get(key)?.slice(offset, offset + length),
    copyFor: async ({ id, bytes }, place) =>
      Buffer.from(Buffer.from(bytes).toString().replaceAll("{who}", `${id}#${place}`)),
    async announce(serverId, changes) {
      if (reading.away.outboxes) throw new Error("Outbox: away");
      reading.announced.push(...changes.map((change) => ({ serverId, ...change })));
    },
    now: () => NOON + 3_600_000,
  };
  const app = door({
    now: Date.now,
    newId: () => crypto.randomUUID(),
    log: (event, f) => reading.logged.push({ event, ...f }),
  });
  const declared = [messageEndpoints, bounceEndpoints, suppressionEndpoints].flatMap((family) =>
    family(needs),
  );
  const noAccounts = {
    ...needs,
    authenticateAccount: async () => undefined,
    accountRetryAfter: async () => 0,
  };
  app.route("/", mount(declared, noAccounts));
  reading.app = app as unknown as Hono;
  return reading;
}
