/** Real D1 databases with the project's migrations, for tests in Node; and messages to put into them. */
import { resolve } from "node:path";
import { Miniflare } from "miniflare";
import { migrate } from "../../src/local/migrate.ts";
import { formatMessageId } from "../../src/mail/message-id.ts";
import type { Attempt, MessageRecord, MessageSummary, RecipientRecord } from "../../src/mail/record.ts";
import { d1Worker, openD1 } from "./d1.ts";

const MIGRATIONS = resolve(import.meta.dirname, "../../migrations");

export interface Databases {
  directory: D1Database;
  archive: D1Database;
  /** Deletes every row. */
  clear(): Promise<void>;
  dispose(): Promise<void>;
}

/** Without migrations when `empty`. */
export async function openDatabases({ empty = false } = {}): Promise<Databases> {
  const miniflare = new Miniflare(d1Worker(["DIRECTORY", "ARCHIVE"]));
  const directory = await openD1(miniflare, "DIRECTORY");
  const archive = await openD1(miniflare, "ARCHIVE");
  if (!empty) {
    await migrate(directory, `${MIGRATIONS}/directory`);
    await migrate(archive, `${MIGRATIONS}/archive`);
  }
  return {
    directory,
    archive,
    async clear() {
      for (const db of [directory, archive]) {
        const { results } = await db
          .prepare(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name <> 'd1_migrations' AND name NOT LIKE 'search\\_%' ESCAPE '\\'",
          )
          .all<{ name: string }>();
        await db.batch(results.map(({ name }) => db.prepare(`DELETE FROM ${name}`)));
      }
    },
    dispose: () => miniflare.dispose(),
  };
}

export const NOON = Date.UTC(2026, 1, 17, 12);
let made = 0;

/** An id as the Outbox makes it; each differs. */
export function idAt(acceptedAt: number): string {
  const random = new Uint8Array(8);
  new DataView(random.buffer).setUint32(4, ++made);
  return formatMessageId({ acceptedAt, region: "local", number: 0 }, random);
}

export function attempt(number: number, of: Partial<Attempt> = {}): Attempt {
  return {
    number,
    transport: "gateway",
    at: NOON + number * 1_000,
    result: "delivered",
    reply: { code: 250, enhanced: "2.0.0", text: "OK" },
    hop: { host: "mx.example", address: "192.0.2.1", tls: "TLSv1.3 TLS_AES_256_GCM_SHA384" },
    reason: "",
    uncertain: false,
    transcript: [],
    ...of,
  };
}

export function waiting(email: string): RecipientRecord {
  return { email, state: "waiting", at: NOON, attempts: [] };
}

export function delivered(email: string): RecipientRecord {
  return { email, state: "delivered", at: NOON + 1_000, attempts: [attempt(1)] };
}

export function hardBounced(email: string, at = NOON + 1_000): RecipientRecord {
  const reply = { code: 550, enhanced: "5.1.1", text: "no such user" };
  const only = attempt(1, { at, result: "bounced", reply });
  return { email, state: "bounced", at, attempts: [only], reason: "no such user", bounceType: "HardBounce" };
}

/** A message to its recipients, from `sender@example.com` unless said otherwise. */
export function message(
  recipients: RecipientRecord[],
  { summary, ...of }: Omit<Partial<MessageRecord>, "summary"> & { summary?: Partial<MessageSummary> } = {},
): MessageRecord {
  const receivedAt = of.receivedAt ?? NOON;
  const emails = recipients.map((r) => r.email);
  return {
    serverId: 1,
    id: idAt(receivedAt),
    stream: "outbound",
    receivedAt,
    subject: "Hello",
    tag: "",
    recipients,
    ...of,
    summary: {
      from: { email: "sender@example.com", name: "" },
      to: emails.map((email) => ({ email, name: "" })),
      cc: [],
      bcc: [],
      recipients: emails,
      attachments: [],
      metadata: {},
      trackOpens: false,
      trackLinks: "None",
      sandboxed: false,
      ...summary,
    },
  };
}
