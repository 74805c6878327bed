/** Received mail before it is read, in real R2 and D1: what is beyond is played at its ports. Any write may be the last before a crash. */
import { Miniflare } from "miniflare";
import { createAccount, createServer } from "../../src/accounts/create.ts";
import { writeRecords } from "../../src/archive/write.ts";
import type { MailEvent } from "../../src/mail/event.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import {
  formatComplaintAddress,
  formatReturnPath,
  returnPathKey,
  type Signed,
} from "../../src/mail/return-path.ts";
import { trackingKey } from "../../src/mail/tracking-link.ts";
import type { Taken } from "../../src/receive/inbound/take.ts";
import { type Received, receive } from "../../src/receive/receive.ts";
import type { TakeNeeds } from "../../src/receive/take.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

export const MAIL_DOMAIN = "mail.example";
const PATHS = `bounces.${MAIL_DOMAIN}`;

export class ReceiveWorld {
  db = undefined as unknown as Databases;
  mail = undefined as unknown as R2Bucket;
  readonly #miniflare = new Miniflare({
    modules: true,
    script: "export default {}",
    r2Buckets: ["MAIL"],
  });
  now = NOON + 3_600_000;
  serverId = 0;
  account = 0;
  /** What an Outbox holds that the archive has not. */
  readonly held = new Map<string, MessageRecord>();
  readonly events: MailEvent[] = [];
  readonly changes: { serverId: number; stream: string; email: string; removed: boolean }[] = [];
  readonly inbound: Taken[] = [];
  readonly reports: Parameters<TakeNeeds["sendProbeReport"]>[0][] = [];
  readonly logged: Record<string, unknown>[] = [];
  /** Steps until it is cut off: what was done then is done, and whoever did it never hears of it. */
  stepsLeft = Number.POSITIVE_INFINITY;
  #made = 0;

  static async open(): Promise<ReceiveWorld> {
    const world = new ReceiveWorld();
    world.db = await openDatabases();
    world.mail = (await world.#miniflare.getR2Bucket("MAIL")) as unknown as R2Bucket;
    await world.begin();
    return world;
  }

  async begin(): Promise<void> {
    await this.db.clear();
    const { objects } = await this.mail.list();
    if (objects.length > 0) await this.mail.delete(objects.map((o) => o.key));
    this.account = await createAccount(this.db.directory, "Ours", NOON);
    ({ id: this.serverId } = await createServer(
      this.db.directory,
      { accountId: this.account, name: "one" },
      NOON,
    ));
    this.held.clear();
    for (const list of [this.events, this.changes, this.inbound, this.reports, this.logged]) list.length = 0;
    this.stepsLeft = Number.POSITIVE_INFINITY;
    this.now = NOON + 3_600_000;
  }

  get needs(): TakeNeeds {
    const step = <T>(done: T): T => {
      if (--this.stepsLeft < 0) throw new Error("cut off, as the test wants");
      return done;
    };
    const cutting = (db: D1Database): D1Database =>
      new Proxy(db, {
        get: (of, name) => {
          if (name === "batch")
            return async (statements: D1PreparedStatement[]) => step(await of.batch(statements));
          const value = Reflect.get(of, name);
          return typeof value === "function" ? value.bind(of) : value;
        },
      });
    const mail = new Proxy(this.mail, {
      get: (of, name) => {
        const value = Reflect.get(of, name);
        if (typeof value !== "function") return value;
        return async (...values: unknown[]) => step(await Reflect.apply(value, of, values));
      },
    });
    return {
      directory: cutting(this.db.directory),
      archive: () => cutting(this.db.archive),
      reports: this.db.archive,
      mail,
      mailDomain: MAIL_DOMAIN,
      now: () => this.now,
      newId: () => crypto.randomUUID(),
      log: (event, fields) => void this.logged.push({ event, ...fields }),
      returnPathKey: () => returnPathKey("secret"),
      trackingKey: () => trackingKey("secret"),
      heldRecords: async (_, ids) => ids.flatMap((id) => this.held.get(id) ?? []),
      putObject: async (key, bytes) => void step(await this.mail.put(key, bytes)),
      deleteObjects: async (keys) => step(await this.mail.delete(keys)),
      announce: async (serverId, changes) =>
        void step(this.changes.push(...changes.map((change) => ({ serverId, ...change })))),
      tellEvents: async (_, events) => {
        // As the log does.
        const known = new Set(this.events.map((e) => e.id));
        step(this.events.push(...events.filter((e) => !known.has(e.id))));
      },
      sendProbeReport: async (report) => void step(this.reports.push(report)),
      takeInbound: async (taken) => void step(this.inbound.push(taken)),
    };
  }

  async store(record: MessageRecord): Promise<MessageRecord> {
    const own = { ...record, serverId: this.serverId };
    await writeRecords(this.db.archive, [own], []);
    return own;
  }

  async returnPath(of: Pick<MessageRecord, "serverId" | "id">, place?: number): Promise<string> {
    return formatReturnPath(await returnPathKey("secret"), signedFor(of, place), PATHS);
  }

  async complaintAddress(of: Pick<MessageRecord, "serverId" | "id">, place?: number): Promise<string> {
    return formatComplaintAddress(await returnPathKey("secret"), signedFor(of, place), PATHS);
  }

  /** Its object's key. */
  async arrive(to: string | string[], raw: string | Uint8Array, reversePath = ""): Promise<string> {
    const received: Received = {
      v: 1,
      envelope: { reversePath, recipients: [to].flat().map((address) => ({ address })) },
      via: "gateway",
      remoteAddress: "192.0.2.7",
      session: "s",
      receivedAt: this.now,
    };
    const name = `mail-${++this.#made}`;
    const bytes = typeof raw === "string" ? Buffer.from(raw) : raw;
    await receive(name, received, bytes, {
      putObject: async (key, object) => void (await this.mail.put(key, object)),
      handOn: () => undefined,
    });
    return `received/${name}`;
  }

  async keys(prefix = ""): Promise<string[]> {
    return (await this.mail.list({ prefix })).objects.map((o) => o.key);
  }

  async rows(sql: string): Promise<Record<string, unknown>[]> {
    const db = sql.includes("suppressions") ? this.db.directory : this.db.archive;
    return (await db.prepare(sql).all<Record<string, unknown>>()).results;
  }

  async dispose(): Promise<void> {
    await this.db.dispose();
    await this.#miniflare.dispose();
  }
}

function signedFor(
  { serverId, id: messageId }: Pick<MessageRecord, "serverId" | "id">,
  place?: number,
): Signed {
  return { serverId, messageId, ...(place !== undefined && { place }) };
}

interface Copy {
  id: string;
  to: string;
  /** More of its header. */
  fields?: string[];
}

export function dsnFor(
  { id, to, fields = [] }: Copy,
  status = "5.1.1",
  said = "550 5.1.1 no such user",
): string {
  return report(
    "delivery-status",
    "message/delivery-status",
    [
      "Reporting-MTA: dns; mx.far.example",
      "",
      `Final-Recipient: rfc822; ${to}`,
      "Action: failed",
      `Status: ${status}`,
      `Diagnostic-Code: smtp; ${said}`,
    ],
    { id, to, fields },
  );
}

export function complaintFor(copy: Copy, named = copy.to): string {
  return report(
    "feedback-report",
    "message/feedback-report",
    [
      "Feedback-Type: abuse",
      "User-Agent: Loop/1.0",
      "Version: 1",
      ...(named ? [`Original-Rcpt-To: <${named}>`] : []),
    ],
    copy,
  );
}

function report(kind: string, type: string, lines: string[], { id, to, fields = [] }: Copy): string {
  return [
    "From: MAILER-DAEMON@far.example",
    `To: somebody@${PATHS}`,
    "Subject: Report",
    "MIME-Version: 1.0",
    `Content-Type: multipart/report; report-type=${kind}; boundary=b`,
    "",
    "--b",
    "Content-Type: text/plain",
    "",
    "This is a report.",
    "--b",
    `Content-Type: ${type}`,
    "",
    ...lines,
    "",
    "--b",
    "Content-Type: text/rfc822-headers",
    "",
    "From: Shop <shop@sender.example>",
    `To: ${to}`,
    "Subject: Your receipt",
    `Message-ID: <${id}@mail.example>`,
    ...fields,
    "",
    "--b--",
    "",
  ].join("\r\n");
}

export function plain(from: string, subject: string, fields: string[] = [], text = "Hello"): string {
  return [`From: ${from}`, "To: x@y.example", `Subject: ${subject}`, ...fields, "", text, ""].join("\r\n");
}
