/** A token's allow-list: addresses and CIDR ranges (RFC 4632, RFC 4291 §2.3) that its requests may come from. Pure. */
import ipaddr from "ipaddr.js";

/**
 * An address or range as it is kept: "192.0.2.1", "192.0.2.0/24", "2001:db8::/32"; undefined for what is neither. An IPv4 address that
 * is written as IPv6 becomes what it is, since that is how callers are known.
 */
export function parseRange(text: string): string | undefined {
  const [address = "", length, more] = text.trim().split("/");
  // The library also reads octal, hexadecimal and shortened IPv4 addresses, which people read otherwise.
  if (more !== undefined || !isAddress(address)) return undefined;
  const parsed = ipaddr.process(address);
  if (length === undefined) return parsed.toString();
  const isMapped = parsed.kind() === "ipv4" && address.includes(":");
  const bits = /^\d{1,3}$/.test(length) ? Number(length) - (isMapped ? 96 : 0) : -1;
  return bits >= 0 && bits <= (parsed.kind() === "ipv4" ? 32 : 128) ? `${parsed}/${bits}` : undefined;
}

/** Whether an address is in one of the ranges, which `parseRange` made. */
export function isAllowed(address: string, ranges: readonly string[]): boolean {
  if (!isAddress(address)) return false;
  const caller = ipaddr.process(address);
  return readRanges(ranges).some(
    ([network, bits]) => network.kind() === caller.kind() && caller.match(network, bits),
  );
}

type Range = [network: ipaddr.IPv4 | ipaddr.IPv6, bits: number];

/** Reading them takes many times as long as comparing, and a policy's list is the same one for half a minute. */
const read = new WeakMap<readonly string[], Range[]>();

function readRanges(ranges: readonly string[]): Range[] {
  const kept = read.get(ranges);
  if (kept) return kept;
  const made = ranges.map((range): Range => {
    if (range.includes("/")) return ipaddr.parseCIDR(range);
    const network = ipaddr.parse(range);
    return [network, network.kind() === "ipv4" ? 32 : 128];
  });
  read.set(ranges, made);
  return made;
}

function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !text.includes("%"));
}
