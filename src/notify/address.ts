/**
 * Whether a webhook's host may be called. Customers choose it, and a deployment's own network must not be reachable through us: each
 * address that a name has must be a public one. A name can change between this look and the call, so it is no more than a first gate;
 * Cloudflare's network, which the call leaves from, has no way to private addresses either.
 */
import ipaddr from "ipaddr.js";

export interface AddressNeeds {
  /** IPv4 and IPv6 addresses of a name; [] when there are none. Rejects when nobody can say. */
  addressesOf(host: string): Promise<string[]>;
  /** On a developer's machine hooks are on this machine too. */
  allowPrivate: boolean;
}

/** Why the host may not be called; undefined when it may. `host` is a URL's `hostname`. */
export async function refusalOf(host: string, needs: AddressNeeds): Promise<string | undefined> {
  if (needs.allowPrivate) return undefined;
  const literal = host.replace(/^\[|\]$/g, "");
  if (ipaddr.isValid(literal)) return isPublic(literal) ? undefined : "The address is not a public one.";
  const addresses = await resolve(host, needs);
  if (!addresses) return "The name of the host could not be looked up.";
  if (addresses.length === 0) return "The name of the host has no address.";
  return addresses.every(isPublic) ? undefined : "The name of the host has an address that is not public.";
}

/** Private, loopback, link-local, multicast, reserved, and what tunnels IPv4 within IPv6 are all told apart from plain unicast. */
export function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === "unicast";
}

async function resolve(host: string, needs: AddressNeeds): Promise<string[] | undefined> {
  try {
    return await needs.addressesOf(host);
  } catch {
    // Whoever asked is told that it could not be looked up, and may try again.
    return undefined;
  }
}
