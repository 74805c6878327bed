/**
 * A bulk request as it lies in storage until it is released: what its messages share, and each message's own part; and how the
 * two become one submission. Pure.
 */
import type { Mailbox, Submission } from "../mail/message.ts";
import { MAX_BODY_BYTES, MAX_MESSAGE_BYTES, MAX_SUBJECT, oneLine, utf8Length } from "../mail/text.ts";
import type { MessageSource, Rendered } from "../template/message.ts";

type Own = "to" | "cc" | "bcc" | keyof Rendered;

export interface BulkShared {
  submission: Omit<Submission, Own>;
  /** The sources as they were when the request was accepted: a template that is edited meanwhile changes nothing. */
  source: MessageSource;
  inlineCss: boolean;
}

/** Absent is empty. */
export interface BulkMessage {
  to?: Mailbox[];
  cc?: Mailbox[];
  bcc?: Mailbox[];
  /** For the placeholders: plain JSON. */
  model?: Record<string, unknown>;
  metadata?: Submission["metadata"];
  headers?: Submission["headers"];
}

/** A message to accept; with `refusal` only to be recorded as bounced. */
export interface Draft {
  submission: Submission;
  refusal?: string;
}

export type Render = (model: Record<string, unknown>) => { ok: Rendered } | { error: string };

export function toDraft(
  { submission: shared, source }: BulkShared,
  message: BulkMessage,
  render: Render,
): Draft {
  const { to = [], cc = [], bcc = [], model = {}, metadata = {}, headers = [] } = message;
  const fixed = {
    ...shared,
    to,
    cc,
    bcc,
    metadata: mergeMetadata(shared.metadata, metadata),
    headers: mergeHeaders(shared.headers, headers),
  };
  const rendered = render(model);
  // People who look for it among the bounces know it by its subject.
  const nothing = { subject: oneLine(source.subject ?? ""), htmlBody: "", textBody: "" };
  if ("error" in rendered) return { submission: { ...fixed, ...nothing }, refusal: rendered.error };
  const { htmlBody, textBody } = rendered.ok;
  const subject = oneLine(rendered.ok.subject);
  const refusal = brokenLimit({ subject, htmlBody, textBody }, shared);
  if (refusal !== undefined) return { submission: { ...fixed, ...nothing }, refusal };
  const bodies = { htmlBody: htmlBody.toWellFormed(), textBody: textBody.toWellFormed() };
  return { submission: { ...fixed, subject, ...bodies } };
}

/** About how many bytes it will have, so that what is composed at a time stays small. */
export function draftBytes({ submission }: Draft): number {
  const attached = submission.attachments.reduce((sum, a) => sum + a.content.length * 1.04, 0);
  return 1_000 + attached + (submission.htmlBody.length + submission.textBody.length) * 1.5;
}

/** The message's own win, whatever the case of their names. */
export function mergeMetadata(
  shared: Submission["metadata"],
  own: Submission["metadata"],
): Submission["metadata"] {
  const names = new Set(Object.keys(own).map((name) => name.toLowerCase()));
  if (names.size === 0) return shared;
  const kept = Object.entries(shared).filter(([name]) => !names.has(name.toLowerCase()));
  return Object.fromEntries([...kept, ...Object.entries(own)]);
}

export function mergeHeaders(
  shared: Submission["headers"],
  own: Submission["headers"],
): Submission["headers"] {
  if (own.length === 0) return shared;
  const names = new Set(own.map(({ name }) => name.toLowerCase()));
  return [...shared.filter(({ name }) => !names.has(name.toLowerCase())), ...own];
}

/** A template may give more than it is given. */
function brokenLimit({ subject, htmlBody, textBody }: Rendered, shared: BulkShared["submission"]) {
  if (!htmlBody && !textBody) return "The rendered message has neither a text body nor an HTML body.";
  if (subject.length > MAX_SUBJECT) return `The rendered subject is longer than ${MAX_SUBJECT} characters.`;
  const html = utf8Length(htmlBody, MAX_BODY_BYTES);
  const text = utf8Length(textBody, MAX_BODY_BYTES);
  if (html > MAX_BODY_BYTES || text > MAX_BODY_BYTES) return "A rendered body is larger than 5 MB.";
  const attached = shared.attachments.reduce((sum, a) => sum + a.content.length, 0);
  if (html + text + attached > MAX_MESSAGE_BYTES) return "The rendered message is larger than 10 MB.";
  return undefined;
}
