/**
 * What the inbound hook is sent (contract §18.2), in pieces: no string ever holds an attachment. What is short comes first, so that the
 * API reads a beginning of it for the details of a message.
 */

import { base64Length, base64Pieces, contentLength } from "./content.ts";
import type { InboundAddress, InboundMail } from "./open.ts";

const PIECE_BYTES = 256 * 1024;
const encoder = new TextEncoder();

export interface Payload {
  /** Bytes of it. */
  length: number;
  /** How many of them come before its attachments: closed with "}", they are JSON too. */
  whole: number;
  pieces(): Iterable<Uint8Array>;
}

export interface PayloadFacts {
  id: string;
  mail: InboundMail;
  originalRecipient: string;
  mailboxHash: string;
  /** Where the server wants it. */
  rawEmail?: Uint8Array;
}

export function payloadOf(facts: PayloadFacts): Payload {
  const { mail, rawEmail } = facts;
  const head = encoder.encode(JSON.stringify(shortFields(facts)).slice(0, -1));
  const frames = mail.attachments.map(({ name, contentType, contentId, content }, i) => {
    const after = { ContentType: contentType, ContentLength: contentLength(content), ContentID: contentId };
    return {
      before: encoder.encode(`${i > 0 ? "," : ""}{"Name":${JSON.stringify(name)},"Content":"`),
      content,
      after: encoder.encode(`",${JSON.stringify(after).slice(1)}`),
    };
  });
  const open = encoder.encode(',"Attachments":[');
  const close = encoder.encode("]");
  const end = encoder.encode("}");
  const decoder = rawEmail && encodingOf(rawEmail);
  function* pieces() {
    yield head;
    yield open;
    for (const { before, content, after } of frames) {
      yield before;
      yield* base64Pieces(content);
      yield after;
    }
    yield close;
    if (rawEmail && decoder) yield* rawPieces(rawEmail, decoder);
    yield end;
  }
  let length = head.length + open.length + close.length + end.length;
  for (const { before, content, after } of frames)
    length += before.length + base64Length(content) + after.length;
  if (rawEmail && decoder) for (const piece of rawPieces(rawEmail, decoder)) length += piece.length;
  return { length, whole: head.length, pieces };
}

function shortFields({ id, mail, originalRecipient, mailboxHash }: PayloadFacts) {
  return {
    FromName: mail.from.name,
    MessageStream: "inbound",
    From: mail.from.email,
    FromFull: fullJson(mail.from),
    To: listText(mail.to),
    ToFull: mail.to.map(fullJson),
    Cc: listText(mail.cc),
    CcFull: mail.cc.map(fullJson),
    Bcc: listText(mail.bcc),
    BccFull: mail.bcc.map(fullJson),
    OriginalRecipient: originalRecipient,
    Subject: mail.subject,
    MessageID: id,
    ReplyTo: mail.replyTo,
    MailboxHash: mailboxHash,
    Date: mail.date,
    TextBody: mail.textBody,
    HtmlBody: mail.htmlBody,
    StrippedTextReply: mail.strippedTextReply,
    Tag: mail.tag,
    Headers: mail.headers.map(({ name, value }) => ({ Name: name, Value: value })),
  };
}

export function fullJson({ email, name, mailboxHash }: InboundAddress) {
  return { Email: email, Name: name, MailboxHash: mailboxHash };
}

/** As a header has it (RFC 5322 §3.4): `"Joe" <joe@example.com>, c@example.com`. */
export function listText(addresses: InboundAddress[]): string {
  return addresses
    .map(({ email, name }) => (name ? `"${name.replace(/["\\]/g, "\\$&")}" <${email}>` : email))
    .join(", ");
}

/** What is not UTF-8 is a byte a character, so that none is lost: whoever encodes it so has the message again. */
function encodingOf(raw: Uint8Array): string {
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    for (let at = 0; at < raw.length; at += PIECE_BYTES)
      decoder.decode(raw.subarray(at, at + PIECE_BYTES), { stream: true });
    decoder.decode();
    return "utf-8";
  } catch {
    // The only thing that a fatal decoder throws for.
    return "windows-1252";
  }
}

function* rawPieces(raw: Uint8Array, encoding: string): Generator<Uint8Array> {
  yield encoder.encode(',"RawEmail":"');
  const decoder = new TextDecoder(encoding, { fatal: false, ignoreBOM: true });
  let held = "";
  for (let at = 0; at < raw.length; at += PIECE_BYTES) {
    let text = held + decoder.decode(raw.subarray(at, at + PIECE_BYTES), { stream: true });
    // A line's end, or a character of two units, may go on in the next piece.
    held = /[\r\ud800-\udbff]$/.exec(text)?.[0] ?? "";
    text = text.slice(0, text.length - held.length).replace(/\r\n/g, "\n");
    yield encoder.encode(JSON.stringify(text).slice(1, -1));
  }
  yield encoder.encode(JSON.stringify(held + decoder.decode()).slice(1, -1));
  yield encoder.encode('"');
}
