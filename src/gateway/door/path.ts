/**
 * Reads the arguments of MAIL and RCPT (RFC 5321 §4.1.2): a path in angle brackets, then parameters. It says what is written there; who
 * may mail to whom is policy.ts's to say. One "@" outside of quotes, or it is no path: what two programs read in two ways, one of
 * them relays.
 */
import { asciiDomain } from "../../mail/address.ts";

export interface Path {
  /** As written, with its quotes. */
  local: string;
  /** Lower-case A-labels, "[192.0.2.1]", or a name that only a local network knows. */
  domain: string;
  isQuoted: boolean;
  /** As written: a domain beyond ASCII needs SMTPUTF8 too (RFC 6531 §3.3). */
  isAscii: boolean;
  /** It named relays ("@a,@b:"), which are ignored (RFC 5321 appendix C). */
  hasRoute: boolean;
}

export interface PathArguments {
  /** undefined: the null path, "<>". */
  path: Path | undefined;
  /** Names in upper case; `true` for one without a value. */
  parameters: Map<string, string | true>;
}

/** What to tell the client; `path` when the address is at fault. */
export type PathFault = { fault: "path" | "syntax" | "repeated" };

/** RFC 5321 §4.5.3.1.3 has 256, with the brackets. */
const MAX_PATH_BYTES = 254;

// Also what is invisible, or ends a line for some: such an address is meant to deceive.
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/;
const ROUTE = /^@[^\s,:@"]+(?:,@[^\s,:@"]+)*:/;
const LOCAL = /^[^\s"(),:;<>@[\\\]]+$/;
const QUOTED_LOCAL = /^"(?:[^"\\]|\\.)*"$/;
const LITERAL = /^\[(?:\d{1,3}(?:\.\d{1,3}){3}|ipv6:[\da-f:.]{2,45})\]$/i;
const LOCAL_NAME =
  /^[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\s].*))?$/s;

/** `text` is the command line. */
export function readPathCommand(text: string, verb: "MAIL" | "RCPT"): PathArguments | PathFault {
  const head = verb === "MAIL" ? /^MAIL\s+FROM\s*:\s*/i.exec(text) : /^RCPT\s+TO\s*:\s*/i.exec(text);
  if (!head || text[head[0].length] !== "<") return { fault: "syntax" };
  const rest = text.slice(head[0].length);
  if (UNSAFE.test(rest)) return { fault: "path" };
  const close = closingBracket(rest);
  if (close < 0 || !/^(?:\s|$)/.test(rest.slice(close + 1))) return { fault: "syntax" };
  const path = readPath(rest.slice(1, close));
  if (path === "fault") return { fault: "path" };
  const parameters = new Map<string, string | true>();
  for (const word of rest.slice(close + 1).split(/\s+/)) {
    if (word === "") continue;
    const [, name, value] = PARAMETER.exec(word) ?? [];
    if (name === undefined) return { fault: "syntax" };
    if (parameters.has(name.toUpperCase())) return { fault: "repeated" };
    parameters.set(name.toUpperCase(), value ?? true);
  }
  return { path, parameters };
}

/** Quoted brackets do not count. */
function closingBracket(text: string): number {
  let isQuoted = false;
  for (let i = 1; i < text.length; i++) {
    const c = text[i];
    if (isQuoted && c === "\\") i++;
    else if (c === '"') isQuoted = !isQuoted;
    else if (c === ">" && !isQuoted) return i;
  }
  return -1;
}

function readPath(text: string): Path | undefined | "fault" {
  if (text === "") return undefined;
  if (Buffer.byteLength(text) > MAX_PATH_BYTES) return "fault";
  const route = ROUTE.exec(text)?.[0] ?? "";
  const mailbox = text.slice(route.length);
  const at = mailbox.lastIndexOf("@");
  const local = mailbox.slice(0, at);
  const domain = readDomain(mailbox.slice(at + 1));
  const isQuoted = local.startsWith('"');
  if (at < 1 || domain === undefined) return "fault";
  if (!(isQuoted ? QUOTED_LOCAL : LOCAL).test(local)) return "fault";
  // A-labels may be twice as long as what was written.
  if (Buffer.byteLength(local) + 1 + domain.length > MAX_PATH_BYTES) return "fault";
  return { local, domain, isQuoted, isAscii: isAscii(mailbox), hasRoute: route !== "" };
}

function readDomain(text: string): string | undefined {
  const name = asciiDomain(text) ?? (LITERAL.test(text) || LOCAL_NAME.test(text) ? text : undefined);
  return name?.toLowerCase();
}

export function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
  return /^[\u0000-\u007f]*$/.test(text);
}
