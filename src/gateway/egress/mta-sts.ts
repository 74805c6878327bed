/**
 * MTA-STS (RFC 8461): whether a domain wants TLS with good certificates, and at which hosts. By mailauth, and not through
 * mx-connect: the older mailauth that mx-connect brings along fetches a policy anew each time, drops it when DNS fails (which
 * RFC 8461 §5.1 forbids, since it is what an attacker would bring about), and lets a wildcard stand for several labels.
 */
import { getPolicy, validateMx } from "mailauth/lib/mta-sts.js";
import tools from "mx-connect/lib/tools.js";

export type MtaStsPolicy = Awaited<ReturnType<typeof getPolicy>>["policy"];

type Resolve = (name: string, type: string) => Promise<unknown>;

/** Policies of as many domains are kept; the oldest go. */
const MAX_KEPT = 20_000;
/** An attempt has three minutes in all; whoever serves a policy of some lines more slowly is done without (RFC 8461 §3.3). */
const FETCH_MS = 10_000;

export class Policies {
  readonly #resolve: Resolve;
  readonly #kept = new Map<string, MtaStsPolicy>();

  constructor(resolve: Resolve, allowPrivate: boolean) {
    const check = {
      dnsOptions: { blockLocalAddresses: !allowPrivate, blockReservedNetworks: !allowPrivate },
    };
    this.#resolve = async (name, type) => {
      const records = await resolve(name, type);
      if (type !== "A" && type !== "AAAA") return records;
      // The domain's owner says where its policy is fetched: that may not be inside our network.
      return (records as string[]).filter((address) => !tools.isInvalid(check, address));
    };
  }

  /** Never rejects: what can't be had is the policy that was kept, or none. */
  async find(domain: string): Promise<MtaStsPolicy> {
    const { policy } = await getPolicy(domain, this.#kept.get(domain), {
      resolver: this.#resolve as never,
      timeout: FETCH_MS,
    });
    this.#kept.delete(domain);
    if (policy.id) this.#kept.set(domain, policy);
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
    return policy;
  }
}

/** Whether mail may go to this host. */
export function isAllowed(host: string, policy: MtaStsPolicy): boolean {
  const { valid, testing } = validateMx(host, policy);
  return valid || testing === true;
}
