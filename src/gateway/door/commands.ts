/**
 * The commands of RFC 5321 and its extensions that are known here, each with what it does to a session. Whatever else the library has a
 * handler for (XCLIENT, and sendmail's old jokes) does not exist.
 */
import { MAX_SUBMISSION_BYTES } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import { mayLogIn } from "./policy.ts";
import { reply } from "./reply.ts";
import type { Session } from "./session.ts";

/** undefined when it has answered by itself, or will. */
export type Answer = Reply | undefined | Promise<Reply | undefined>;
type Command = (session: Session, text: string) => Answer;

const HELO_FIRST = reply(503, "5.5.1", "EHLO or HELO comes first");
const OK = reply(250, "2.0.0", "OK");
/** RFC 5321 §4.5.3.1.2. */
const MAX_HELO = 255;
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["EHLO", (session, text) => hello(session, text, "EHLO")],
  ["HELO", (session, text) => hello(session, text, "HELO")],
  ["STARTTLS", startTls],
  ["AUTH", (session, text) => session.login.begin(text)],
  ["MAIL", mail],
  ["RCPT", (session, text) => envelope(session, text, (t) => session.transaction.rcpt(t))],
  ["DATA", (session, text) => session.delivery.begin(text)],
  ["RSET", reset],
  ["NOOP", () => OK],
  ["HELP", () => reply(214, "2.0.0", "RFC 5321 says it all")],
  // Who has a mailbox here is told to nobody (RFC 5321 §7.3).
  ["VRFY", () => reply(252, "2.5.0", "send mail and see")],
  ["EXPN", () => reply(502, "5.5.1", "lists are not shown here")],
  ["QUIT", quit],
]);

function hello(session: Session, text: string, verb: "EHLO" | "HELO"): Answer {
  const [, host = "", ...more] = text.trim().split(/\s+/);
  if (host === "" || more.length > 0 || host.length > MAX_HELO || CONTROL.test(host))
    return reply(501, "5.5.4", `syntax: ${verb} host`);
  session.hostNameAppearsAs = host;
  session.openingCommand = verb;
  session._resetSession();
  session.greet(verb === "HELO" ? [] : extensions(session));
  return undefined;
}

function extensions(session: Session): string[] {
  const lines = ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"];
  lines.push(`SIZE ${MAX_SUBMISSION_BYTES}`);
  if (!session.secure) lines.push("STARTTLS");
  if (mayLogIn(session.standing) && !session.account) lines.push("AUTH PLAIN LOGIN");
  return lines;
}

function startTls(session: Session, text: string): Answer {
  if (text.trim().length > "STARTTLS".length) return reply(501, "5.5.4", "STARTTLS has no parameters");
  if (session.secure) return reply(503, "5.5.1", "TLS is on already");
  session.answer(reply(220, "2.0.0", "ready for TLS"));
  // All of it is out before the socket is the TLS layer's.
  session._socket.uncork();
  session.upgrade(() => undefined);
  return undefined;
}

function mail(session: Session, text: string): Answer {
  const begin = () => envelope(session, text, (t) => session.transaction.mail(t, session.standing));
  const refusal = session.login.check();
  return refusal instanceof Promise ? refusal.then((later) => later ?? begin()) : (refusal ?? begin());
}

function envelope(session: Session, text: string, run: (text: string) => Answer): Answer {
  if (!session.hostNameAppearsAs) return HELO_FIRST;
  // The replacement character stands where it was no UTF-8.
  return text.includes("\ufffd") ? reply(501, "5.5.2", "the command is not UTF-8") : run(text);
}

function reset(session: Session): Answer {
  session._resetSession();
  return OK;
}

function quit(session: Session): Answer {
  session.answer(reply(221, "2.0.0", "goodbye"));
  session.close();
  return undefined;
}
