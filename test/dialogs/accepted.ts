/**
 * What a dialog says of a message that was accepted, and whether the Worker got that; and what must be true of every message: one
 * Received field of ours in front, safe and honest (RFC 5321 §4.4, RFC 3848), a MessageID that names an Outbox of the account, and no
 * bare CR or LF.
 */
import { createHash } from "node:crypto";
import { parseMessageId } from "../../src/mail/message-id.ts";
import type { Accepted } from "./fake-worker.ts";
import type { Target } from "./wire.ts";
import { shown } from "./wire.ts";

export interface Expected {
  from: string;
  to: string[];
  with?: string;
  server?: string;
  stream?: string;
  inbound?: true;
  body?: string;
  sha256?: string;
}

export function newExpected(from: string): Expected {
  return { from, to: [] };
}

/** One line of a script about the message; `|` lines are its body. */
export function tell(expected: Expected, verb: string, text: string): void {
  switch (verb) {
    case "to":
      expected.to.push(text);
      break;
    case "with":
    case "server":
    case "stream":
      expected[verb] = text;
      break;
    case "inbound":
      expected.inbound = true;
      break;
    case "|":
      expected.body = `${expected.body ?? ""}${text}\r\n`;
      break;
    case "body":
      expected.body = text;
      break;
    case "body-sha256":
      expected.sha256 = text;
      break;
  }
}

/** Folded or not, as we write it; the client's address only where it says nothing about a customer. */
const TRACE =
  /^Received: from (?<helo>[!-~]+)(?: (?<address>\(\[[^\]\r\n]+\]\)))?\s+by (?<by>\S+)\s+with (?<with>(?:UTF8)?(?:SMTP|ESMTPS?A?|SMTPS?A?))\s+id (?<id>\S+);\s+(?<date>[^\r\n]+)\r\n/;

export function checkMessage(got: Accepted | undefined, expected: Expected, target: Target): void {
  if (!got) throw new Error("no such message");
  const { envelope, messageId, session, stream } = got.message;
  const text = got.bytes.toString("latin1");
  const trace = TRACE.exec(text);
  if (!trace?.groups) throw new Error(`no Received field of ours in front: ${shown(text.slice(0, 300))}`);
  const { by, id, address, date = "" } = trace.groups;
  equal("the Received field's name", by, target.name);
  equal("the Received field's id", id, session);
  if (Number.isNaN(Date.parse(date))) throw new Error(`no date: ${date}`);
  if (/(?<!\r)\n|\r(?!\n)/.test(text)) throw new Error("a bare CR or LF went through");
  const from = [`<${envelope.reversePath}>`];
  if (envelope.ret) from.push(`RET=${envelope.ret}`);
  if (envelope.envid !== undefined) from.push(`ENVID=${envelope.envid}`);
  equal("from", from.join(" "), expected.from);
  const to = envelope.recipients.map(({ address, notify, orcpt }) => {
    const words = [`<${address}>`];
    if (notify) words.push(`NOTIFY=${notify.join(",")}`);
    if (orcpt !== undefined) words.push(`ORCPT=${orcpt}`);
    return words.join(" ");
  });
  if (expected.to.length > 0) equal("to", to.join("\n"), expected.to.join("\n"));
  if (expected.with !== undefined) equal("with", trace.groups.with, expected.with);
  equal("stream", stream ?? "", expected.stream ?? "");
  if (expected.inbound) {
    equal("messageId", messageId, "");
    equal("server", got.serverId, undefined);
    equal(
      "the client's address",
      address?.replace("::ffff:", "").replace("IPv6:", ""),
      `([${target.client}])`,
    );
  } else {
    equal("server", String(got.serverId), expected.server ?? "7");
    equal("the client's address", address, undefined);
    const place = parseMessageId(messageId);
    if (place?.region !== "weur" || place.number >= 2)
      throw new Error(`no MessageID of the account's: ${messageId}`);
  }
  const body = text.slice(trace[0].length);
  if (expected.body !== undefined) equal("body", shown(body), shown(expected.body));
  if (expected.body !== undefined && body !== expected.body)
    throw new Error("another body, far from its start");
  if (expected.sha256 !== undefined)
    equal("SHA-256", createHash("sha256").update(Buffer.from(body, "latin1")).digest("hex"), expected.sha256);
}

function equal(what: string, got: unknown, expected: unknown): void {
  if (got !== expected) throw new Error(`${what}: expected\n${String(expected)}\ngot\n${String(got)}`);
}
