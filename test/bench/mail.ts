/** The messages that the bench sends: 2 KB as an application would post them, 25 KB as they are on the wire. */

export const BATCH = 500;
const LINE = "The quick brown fox jumps over the lazy dog, and the invoice is attached below.\r\n";
/** So that a live run has many destinations, as transactional mail has. */
export const DOMAINS = 20;

export interface MailSpec {
  from: string;
  /** "dead": a destination whose DNS fails; "live": spread over the domains of the local MX. */
  to: "dead" | "live";
  bytes: number;
  /** Names the run, so that recipients differ from run to run. */
  run: string;
}

export function recipient({ to, run }: MailSpec, number: number): string {
  const domain = to === "dead" ? "servfail.test" : `d${number % DOMAINS}.example`;
  return `${run}-${number}@${domain}`;
}

/** One message of Postmark's JSON, `bytes` long in all. */
export function jsonMessage(spec: MailSpec, number: number): string {
  const message = {
    From: spec.from,
    To: recipient(spec, number),
    Subject: `Your receipt ${number}`,
    Tag: "receipt",
    TextBody: "",
  };
  const room = Math.max(0, spec.bytes - JSON.stringify(message).length);
  // Each CRLF is four bytes in JSON.
  const lines = LINE.repeat(Math.ceil(room / (LINE.length + 2)));
  message.TextBody = lines.slice(0, Math.floor((room * LINE.length) / (LINE.length + 2)));
  return JSON.stringify(message);
}

/** A whole message as it is on the wire. */
export function rawMessage(spec: MailSpec, number: number): string {
  const head = [
    `From: ${spec.from}`,
    `To: ${recipient(spec, number)}`,
    `Subject: Your receipt ${number}`,
    `Date: ${new Date().toUTCString().replace("GMT", "+0000")}`,
    `Message-ID: <${spec.run}-${number}@example.com>`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "",
  ].join("\r\n");
  return head + LINE.repeat(Math.ceil(Math.max(0, spec.bytes - head.length) / LINE.length));
}
