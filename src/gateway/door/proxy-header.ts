/**
 * Reads the header by which a load balancer says who is behind it: the PROXY protocol, version 1 (a line) and 2 (bytes), as HAProxy's
 * proxy-protocol.txt has them. The library knows version 1 only, and some balancers speak only the other.
 */
import { isIP, isIPv4, isIPv6 } from "node:net";

/** `address` is undefined for the balancer's own connections, as for its health checks. */
export type ProxyHeader = { bytes: number; address: string | undefined; port: number | undefined };

/** Version 1 §2.1: "107 chars" with the CRLF. */
const MAX_LINE = 107;
/** Version 2: 16 bytes, and a length that its TLVs may fill; balancers send some hundred. */
const MAX_BYTES = 2_048;
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const LINE_START = Buffer.from("PROXY ");

/** `start` is what has come so far. */
export function readProxyHeader(start: Buffer): ProxyHeader | "more" | "malformed" {
  if (isPrefix(start, SIGNATURE)) return start.length < 16 ? "more" : readBytes(start);
  if (isPrefix(start, LINE_START)) return readLine(start);
  return "malformed";
}

function isPrefix(start: Buffer, whole: Buffer): boolean {
  const length = Math.min(start.length, whole.length);
  return start.subarray(0, length).equals(whole.subarray(0, length));
}

function readLine(start: Buffer): ProxyHeader | "more" | "malformed" {
  const end = start.indexOf("\r\n");
  if (end < 0) return start.length < MAX_LINE ? "more" : "malformed";
  const bytes = end + 2;
  if (bytes > MAX_LINE) return "malformed";
  const [, family, source = "", destination = "", port, , ...more] = start
    .toString("latin1", 0, end)
    .split(" ");
  if (family === "UNKNOWN") return { bytes, address: undefined, port: undefined };
  const isRight = family === "TCP4" ? isIPv4 : family === "TCP6" ? isIPv6 : undefined;
  if (!isRight?.(source) || !isIP(destination) || !isPort(port) || more.length > 0) return "malformed";
  return { bytes, address: source.toLowerCase(), port: Number(port) };
}

function isPort(text: string | undefined): boolean {
  return /^\d{1,5}$/.test(text ?? "") && Number(text) <= 65_535;
}

function readBytes(start: Buffer): ProxyHeader | "more" | "malformed" {
  const bytes = 16 + start.readUInt16BE(14);
  const command = start.readUInt8(12);
  if (bytes > MAX_BYTES || (command !== 0x20 && command !== 0x21)) return "malformed";
  if (start.length < bytes) return "more";
  // LOCAL, or what is no TCP over IP: the balancer itself.
  const own: ProxyHeader = { bytes, address: undefined, port: undefined };
  const family = start.readUInt8(13);
  if (command === 0x20) return own;
  if (family === 0x11) {
    if (bytes < 16 + 12) return "malformed";
    return { bytes, address: start.subarray(16, 20).join("."), port: start.readUInt16BE(24) };
  }
  if (family === 0x21) {
    if (bytes < 16 + 36) return "malformed";
    const groups = Array.from({ length: 8 }, (_none, i) => start.readUInt16BE(16 + 2 * i).toString(16));
    return { bytes, address: unmapped(groups), port: start.readUInt16BE(48) };
  }
  return own;
}

/** An IPv4 client is that, however the balancer writes it. */
function unmapped(groups: string[]): string {
  if (groups.slice(0, 6).join(":") !== "0:0:0:0:0:ffff") return groups.join(":");
  const bytes = groups.slice(6).flatMap((g) => [Number.parseInt(g, 16) >> 8, Number.parseInt(g, 16) & 255]);
  return bytes.join(".");
}
