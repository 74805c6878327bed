/**
 * Which hosts take a domain's mail: MX records with the fallback to its own address, null MX, no address that is private, and what
 * its MTA-STS policy says. mx-connect finds out all but the last; it is stopped before it would connect, since connections are
 * kept and shared here.
 */
import { Resolver } from "node:dns/promises";
import mxConnect, { type MxEntry, type Options } from "mx-connect";
import type { Reply } from "../../mail/reply.ts";
import type { Meaning } from "../../smtp/meaning.ts";
import { noReply } from "../../smtp/reply-text.ts";
import type { Config } from "../config.ts";
import { isAllowed, type MtaStsPolicy, Policies } from "./mta-sts.ts";

export interface MxHost {
  host: string;
  preference: number;
  addresses: string[];
}

export type Route =
  | { hosts: MxHost[] /** An MTA-STS policy is enforced (RFC 8461 §5). */; mustBeVerified: boolean }
  | { end: Meaning; reply: Reply; reason: string };

/** More are not asked for addresses; the best are kept. Domains with many MX records have a dozen. */
const MAX_HOSTS = 20;
/** An attempt tries five in all. */
const MAX_ADDRESSES_OF_HOST = 10;
/** Routes of as many domains are kept; the oldest go. */
const MAX_KEPT = 20_000;
/** What fails is asked again soon. */
const FAILED_CACHE_MS = 5_000;

class Found extends Error {}

export class Routes {
  readonly #config: Config;
  readonly #resolver: Resolver;
  readonly #routes = new Map<string, { until: number; route: Promise<Route> }>();
  readonly #policies: Policies;

  constructor(config: Config) {
    this.#config = config;
    this.#resolver = new Resolver({ timeout: config.timeouts.dns, tries: 2 });
    if (config.dns.length > 0) this.#resolver.setServers(config.dns);
    this.#policies = new Policies((name, type) => this.#resolver.resolve(name, type), config.allowPrivateMx);
  }

  /** Never rejects: what can't be found out is an end of its own. */
  find(domain: string): Promise<Route> {
    const now = Date.now();
    const kept = this.#routes.get(domain);
    if (kept && kept.until > now) return kept.route;
    const entry = { until: now + this.#config.timeouts.routeCache, route: this.#ask(domain) };
    this.#routes.delete(domain);
    this.#routes.set(domain, entry);
    if (this.#routes.size > MAX_KEPT) this.#routes.delete(this.#routes.keys().next().value as string);
    void entry.route.then((route) => {
      if ("end" in route && route.end.result === "deferred")
        entry.until = Math.min(entry.until, Date.now() + FAILED_CACHE_MS);
    });
    return entry.route;
  }

  async #ask(domain: string): Promise<Route> {
    const [found, policy] = await Promise.all([this.#lookUp(domain), this.#policies.find(domain)]);
    return "end" in found ? found : this.#routeOf(found.mx, policy);
  }

  async #lookUp(domain: string): Promise<{ mx: MxEntry[] } | Extract<Route, { end: unknown }>> {
    let mx: MxEntry[] = [];
    let hasMx = false;
    const options: Options = {
      target: domain,
      dnsOptions: {
        blockLocalAddresses: !this.#config.allowPrivateMx,
        blockReservedNetworks: !this.#config.allowPrivateMx,
        resolveRecords: async (name, type) => {
          const records = await this.#resolver.resolve(name, type);
          if (type !== "MX" || !Array.isArray(records)) return records as unknown[];
          hasMx = records.length > 0;
          return bestOf(records as { priority: number }[]);
        },
      },
      // An error here ends its work, with everything found out.
      connectHook: (delivery, _, done) => {
        mx = delivery.mx;
        done(new Found());
      },
    };
    try {
      await mxConnect(options);
    } catch (error) {
      if (!(error instanceof Found)) return whyNot(error as LookUpError, hasMx);
    }
    return { mx };
  }

  #routeOf(mx: MxEntry[], policy: MtaStsPolicy): Route {
    const mustBeVerified = policy.mode === "enforce";
    const all = mx
      .map(({ exchange, priority, A, AAAA }): MxHost => {
        const host = exchange.toLowerCase().replace(/\.$/, "");
        return { host, preference: priority, addresses: [...AAAA, ...A].slice(0, MAX_ADDRESSES_OF_HOST) };
      })
      .filter(({ addresses }) => addresses.length > 0);
    const hosts = all.filter(({ host }) => isAllowed(host, policy));
    if (hosts.length === 0)
      return ended("deferred", "4.7.0", "MTA-STS: the policy allows none of the MX hosts");
    // RFC 5321 §5.1: where we are an MX ourselves, only better ones are asked, or mail would go in circles.
    const own = hosts.filter(({ host }) => host === this.#config.name).map((h) => h.preference);
    const better = own.length > 0 ? hosts.filter((h) => h.preference < Math.min(...own)) : hosts;
    if (better.length > 0) return { hosts: better, mustBeVerified };
    const reason = `mail for this domain comes back to us: its best MX is ${this.#config.name}`;
    return ended("bounced", "5.4.6", reason, "recipient");
  }
}

interface LookUpError extends Error {
  code?: string;
  category?: string;
  temporary?: boolean;
}

function whyNot(error: LookUpError, hasMx: boolean): Extract<Route, { end: unknown }> {
  if (error.code === "ENULLMX")
    return ended("bounced", "5.1.10", "the domain takes no mail (null MX, RFC 7505)", "recipient");
  if (error.code === "InvalidIpAddress")
    return ended("deferred", "4.4.4", "the MX hosts have no public address");
  const isAbsent = error.category === "dns" && !error.temporary && error.code === "ENOTFOUND";
  if (isAbsent && hasMx) return ended("deferred", "4.4.4", "the MX hosts have no address");
  if (isAbsent)
    return ended("bounced", "5.1.2", "the domain does not exist, or has no mail server", "recipient");
  return ended("deferred", "4.4.3", `DNS look-up failed (${error.code ?? error.message})`);
}

function ended(
  result: "bounced" | "deferred",
  enhanced: string,
  reason: string,
  concerns: Meaning["concerns"] = "destination",
): Extract<Route, { end: unknown }> {
  return { end: { result, concerns }, reply: noReply(enhanced), reason };
}

function bestOf<T extends { priority: number }>(records: T[]): T[] {
  return records.toSorted((a, b) => a.priority - b.priority).slice(0, MAX_HOSTS);
}
