/** The Received field that we put before every message (RFC 5321 §4.4). What the client said of itself is let in only as harmless text. */

export interface Trace {
  helo: string;
  /** undefined: a submission, whose sender's address is nobody's business. */
  remoteAddress: string | undefined;
  /** Our name. */
  by: string;
  isExtended: boolean;
  isSecure: boolean;
  isAuthenticated: boolean;
  isUtf8: boolean;
  session: string;
  at: Date;
}

/** RFC 1035 §2.3.4 has 255; a line of the header should not be longer. */
const MAX_HELO = 255;

export function traceField(trace: Trace): Buffer {
  const { remoteAddress, by, session, at } = trace;
  const origin = remoteAddress === undefined ? "" : ` (${addressLiteral(remoteAddress)})`;
  const date = at.toUTCString().replace("GMT", "+0000");
  const field = `Received: from ${heloWord(trace)}${origin}\r\n\tby ${by} with ${protocol(trace)} id ${session};\r\n\t${date}\r\n`;
  return Buffer.from(field, "latin1");
}

/** RFC 3848 and RFC 6531 §4.3. */
function protocol({ isExtended, isSecure, isAuthenticated, isUtf8 }: Trace): string {
  if (!isExtended) return "SMTP";
  return `${isUtf8 ? "UTF8SMTP" : "ESMTP"}${isSecure ? "S" : ""}${isAuthenticated ? "A" : ""}`;
}

/** Names of machines are written in all kinds of ways; what can't stand in a field of trace information becomes "?". */
function heloWord({ helo, remoteAddress }: Trace): string {
  // Many programs greet with the address of their machine.
  if (remoteAddress === undefined && /^\[?(?:[\d.]+|(?:ipv6:)?[\da-f:.]*:[\da-f:.]*)\]?$/i.test(helo))
    return "client";
  return helo.slice(0, MAX_HELO).replace(/[^A-Za-z0-9._:[\]-]/g, "?") || "unknown";
}

/** RFC 5321 §4.1.3. */
export function addressLiteral(address: string): string {
  return address.includes(":") ? `[IPv6:${address}]` : `[${address}]`;
}
