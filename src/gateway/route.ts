/**
 * Which hosts take a domain's mail: MX records with the fallback to its own address, null MX, MTA-STS, and no address that is
 * private. mx-connect finds all this out; it is stopped before it would connect, since connections are kept and shared here.
 */
import { Resolver } from "node:dns/promises";
import mxConnect, { type MxEntry, type Options } from "mx-connect";
import type { Reply } from "../mail/reply.ts";
import type { Meaning } from "../smtp/meaning.ts";
import { noReply } from "../smtp/reply-text.ts";
import type { Config } from "./config.ts";

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
/** Routes and policies of as many domains are kept; the oldest go. */
const MAX_KEPT = 20_000;
/** What fails is asked again soon. */
const FAILED_CACHE_MS = 5_000;

class Found extends Error {}

export class Routes {
  readonly #config: Config;
  readonly #resolver: Resolver;
  readonly #routes = new Map<string, { until: number; route: Promise<Route> }>();
  readonly #policies = new Map<string, unknown>();

  constructor(config: Config) {
    this.#config = config;
    this.#resolver = new Resolver({ timeout: config.timeouts.dns, tries: 2 });
    if (config.dns.length > 0) this.#resolver.setServers(config.dns);
  }

  /** Never rejects: what can't be found out is an end of its own. */
  find(domain: string): Promise<Route> {
    const now = Date.now();
    const kept = this.#routes.get(domain);
    if (kept && kept.until > now) return kept.route;
    const entry = { until: now + this.#config.timeouts.routeCache, route: this.#ask(domain) };
    keep(this.#routes, domain, entry);
    void entry.route.then((route) => {
      if ("end" in route && route.end.result === "deferred")
        entry.until = Math.min(entry.until, Date.now() + FAILED_CACHE_MS);
    });
    return entry.route;
  }

  async #ask(domain: string): Promise<Route> {
    let mx: MxEntry[] | undefined;
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
      mtaSts: {
        enabled: true,
        cache: {
          get: async (name) => this.#policies.get(name),
          set: async (name, policy) => keep(this.#policies, name, policy),
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
    return this.#routeOf(mx ?? []);
  }

  #routeOf(mx: MxEntry[]): Route {
    const allowed = mx.filter(({ policyMatch }) => !policyMatch || policyMatch.valid || policyMatch.testing);
    const mustBeVerified = mx.some(({ policyMatch }) => policyMatch?.mode === "enforce");
    const hosts = allowed
      .map(({ exchange, priority, A, AAAA }): MxHost => {
        const host = exchange.toLowerCase().replace(/\.$/, "");
        return { host, preference: priority, addresses: [...AAAA, ...A].slice(0, MAX_ADDRESSES_OF_HOST) };
      })
      .filter(({ addresses }) => addresses.length > 0);
    // RFC 5321 §5.1: where we are an MX ourselves, only better ones are asked, or mail would go in circles.
    const own = hosts.filter(({ host }) => host === this.#config.name).map((h) => h.preference);
    const better = own.length > 0 ? hosts.filter((h) => h.preference < Math.min(...own)) : hosts;
    if (better.length > 0) return { hosts: better, mustBeVerified };
    return {
      end: { result: "bounced", concerns: "recipient" },
      reply: noReply("5.4.6"),
      reason: `mail for this domain comes back to us: its best MX is ${this.#config.name}`,
    };
  }
}

interface LookUpError extends Error {
  code?: string;
  category?: string;
  temporary?: boolean;
}

function whyNot(error: LookUpError, hasMx: boolean): Route {
  const end = (
    result: "bounced" | "deferred",
    enhanced: string,
    reason: string,
    concerns: Meaning["concerns"] = "destination",
  ): Route => ({ end: { result, concerns }, reply: noReply(enhanced), reason });
  if (error.code === "ENULLMX")
    return end("bounced", "5.1.10", "the domain takes no mail (null MX, RFC 7505)", "recipient");
  if (error.category === "policy")
    return end("deferred", "4.7.0", "MTA-STS: the policy allows none of the MX hosts");
  if (error.code === "InvalidIpAddress")
    return end("deferred", "4.4.4", "the MX hosts have no public address");
  const isAbsent = error.category === "dns" && !error.temporary && error.code === "ENOTFOUND";
  if (isAbsent && hasMx) return end("deferred", "4.4.4", "the MX hosts have no address");
  if (isAbsent)
    return end("bounced", "5.1.2", "the domain does not exist, or has no mail server", "recipient");
  return end("deferred", "4.4.3", `DNS look-up failed (${error.code ?? error.message})`);
}

function bestOf<T extends { priority: number }>(records: T[]): T[] {
  return records.toSorted((a, b) => a.priority - b.priority).slice(0, MAX_HOSTS);
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_KEPT) map.delete(map.keys().next().value as string);
}
