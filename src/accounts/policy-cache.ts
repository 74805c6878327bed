/**
 * What a Worker's isolate remembers of servers and tokens, for half a minute: with the Outbox's own half a minute behind it,
 * a revoked token stops within one. Servers that do not exist are remembered as well, so that guessing costs us little.
 */
import type { Region } from "../mail/message-id.ts";
import type { Caller, ServerPolicy } from "./policy.ts";
import { hashToken, serverIdOf } from "./token.ts";

const FRESH_MS = 30_000;
const MAX_ENTRIES = 2_000;

export class PolicyCache {
  readonly #fetch: (serverId: number, region: Region) => Promise<ServerPolicy | undefined>;
  readonly #now: () => number;
  // Values and never promises: a promise belongs to the request that made it, and ends with that.
  readonly #policies = new Map<number, { until: number; policy: ServerPolicy | undefined }>();
  readonly #hashes = new Map<string, string>();
  /** How often something was changed: what was asked before may be from before. */
  #changes = 0;

  constructor(
    fetch: (serverId: number, region: Region) => Promise<ServerPolicy | undefined>,
    now: () => number,
  ) {
    this.#fetch = fetch;
    this.#now = now;
  }

  /** Whose token this is; undefined when there is none. The case of the token does not matter. */
  async byToken(token: string, region: Region): Promise<Caller | undefined> {
    const serverId = serverIdOf(token);
    const policy = serverId && (await this.byServer(serverId, region));
    return policy ? callerOf(policy, await this.#hash(token.toLowerCase())) : undefined;
  }

  async byServer(serverId: number, region: Region): Promise<ServerPolicy | undefined> {
    const kept = this.#policies.get(serverId);
    if (kept && kept.until > this.#now()) return kept.policy;
    return this.fresh(serverId, region);
  }

  /** Not from the cache: a gateway keeps its own, and the two would add up. */
  async fresh(serverId: number, region: Region): Promise<ServerPolicy | undefined> {
    const changes = this.#changes;
    const policy = await this.#fetch(serverId, region);
    if (changes === this.#changes) put(this.#policies, serverId, { until: this.#now() + FRESH_MS, policy });
    return policy;
  }

  forget(serverId: number): void {
    this.#changes++;
    this.#policies.delete(serverId);
  }

  async #hash(token: string): Promise<string> {
    const hash = this.#hashes.get(token) ?? (await hashToken(token));
    if (!this.#hashes.has(token)) put(this.#hashes, token, hash);
    return hash;
  }
}

function callerOf(policy: ServerPolicy, hash: string): Caller | undefined {
  const token = policy.tokens.find((t) => t.hash === hash);
  return token && { policy, token };
}

function put<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= MAX_ENTRIES) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
  map.set(key, value);
}
