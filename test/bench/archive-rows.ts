/** The messages of the archive's bench: each made from its number alone, so that the product and its peers get the same ones. */
import { formatMessageId } from "../../src/mail/message-id.ts";
import type { MessageRecord } from "../../src/mail/record.ts";

const DAYS = 45;
const DAY_MS = 86_400_000;
const SERVICES = ["welcome", "receipt", "reset", "invoice", "digest"];
const TAGS = 20;
/** A thousandth waits for its first attempt. */
const WAITING_EACH = 1_000;
const COMMON_WORDS = 5_000;
/** Each is in about twenty of a million subjects. */
const RARE_WORDS = 50_000;

/** A number from 0 to 1 that looks like chance: of message `n`, the `k`th. */
function chance(n: number, k: number): number {
  let x = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(k + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

const SYLLABLES = "ka lo mi re tu van del son ing ter pro con ex al or in ed es ti na".split(" ");

/** None is part of another: that finds more here than for peers, who know whole words only. */
function word(n: number): string {
  let text = "z";
  for (let rest = n + SYLLABLES.length; rest > 0; rest = Math.floor(rest / SYLLABLES.length))
    text += SYLLABLES[rest % SYLLABLES.length];
  return `${text}h`;
}

/** The lower the rank, the more subjects have it: about one in a hundred has the tenth, as words of a language are spread. */
export const wordOfRank = (rank: number) => word(rank);
export const rareWord = (n: number) => `q${word(n % RARE_WORDS).slice(1)}`;
export const COMMON_WORD = "order";

export interface Row {
  id: string;
  at: number;
  recipient: string;
  subject: string;
  tag: string;
  metadata: Record<string, string>;
  isWaiting: boolean;
}

export interface Plan {
  rows: number;
  /** When the last one was accepted, ms. */
  until: number;
}

export function rowOf(n: number, { rows, until }: Plan): Row {
  const at = Math.floor(until - ((rows - n) * DAYS * DAY_MS) / rows);
  const bytes = Uint8Array.from({ length: 8 }, (_, k) => Math.floor(chance(n, k) * 256));
  const common = (k: number) => word(Math.floor(COMMON_WORDS * chance(n, k) ** 3));
  const last = rareWord(Math.floor(chance(n, 20) * RARE_WORDS));
  const subject =
    chance(n, 10) < 0.3
      ? `Your ${COMMON_WORD} ${100_000 + n}: ${common(11)} ${common(12)} ${last}`
      : `${common(13)} ${common(14)} ${common(15)} ${common(16)} ${last}`;
  return {
    id: formatMessageId({ acceptedAt: at, region: "local", number: 0 }, bytes),
    at,
    recipient: recipientOf(Math.floor(chance(n, 21) * rows)),
    subject,
    tag: `${SERVICES[n % SERVICES.length]}-${Math.floor(chance(n, 22) * (TAGS / SERVICES.length))}`,
    metadata: { customer: String(Math.floor(chance(n, 23) * rows)) },
    isWaiting: n % WAITING_EACH === WAITING_EACH - 1,
  };
}

/** A tenth as many people as messages. */
export function recipientOf(n: number): string {
  return `person${Math.floor(n / 10)}@mail${n % 7}.example`;
}

export function tagOf(n: number): string {
  return `${SERVICES[n % SERVICES.length]}-${Math.floor((n / SERVICES.length) % (TAGS / SERVICES.length))}`;
}

const REPLY = { code: 250, enhanced: "2.0.0", text: "2.0.0 OK 1700000000 a1-20020a170902 - smtp" };
const HOP = { host: "mx.mail.example", address: "192.0.2.1", tls: "TLSv1.3 TLS_AES_256_GCM_SHA384" };

export function recordOf(serverId: number, row: Row): MessageRecord {
  const { id, at, recipient: email, subject, tag, metadata, isWaiting } = row;
  const attempt = {
    ...{ number: 1, transport: "gateway" as const, at: at + 900, result: "delivered" as const },
    ...{ reply: REPLY, hop: HOP, reason: "", uncertain: false, transcript: [] },
  };
  return {
    ...{ serverId, id, stream: "outbound", receivedAt: at, subject, tag },
    summary: {
      from: { email: "sender@example.com", name: "Sender" },
      to: [{ email, name: "" }],
      ...{ cc: [], bcc: [], recipients: [email], attachments: [], metadata },
      ...{ trackOpens: false, trackLinks: "None", sandboxed: false },
    },
    // As of all that has ended: in R2, though the bench puts nothing there.
    segment: { key: `bench/${id.slice(0, 8)}`, offset: 0, length: 2_000 },
    recipients: [
      isWaiting
        ? { email, state: "waiting", at, attempts: [] }
        : { email, state: "delivered", at: at + 900, attempts: [attempt] },
    ],
  };
}
