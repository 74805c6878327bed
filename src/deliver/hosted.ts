/**
 * Which domains' mail a provider takes, as their MX hosts showed when they last took or refused mail. In memory only: who
 * forgot learns it again from the next outcome, which costs nothing, where a row for each domain would. Pure.
 */

/** MX records change seldom; after so long they are looked at again. */
const KNOWN_MS = 24 * 3_600_000;
/** About a megabyte; what was learned first is forgotten first. */
const MANY = 10_000;

export class Hosted {
  readonly #known = new Map<string, { provider: string; at: number }>();

  learn(domain: string, provider: string, now: number): void {
    this.#known.delete(domain);
    this.#known.set(domain, { provider, at: now });
    if (this.#known.size <= MANY) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  providerOf(domain: string, now: number): string | undefined {
    const known = this.#known.get(domain);
    if (!known) return undefined;
    // In the future it is from a clock that was wrong.
    if (known.at <= now && now - known.at < KNOWN_MS) return known.provider;
    this.#known.delete(domain);
    return undefined;
  }
}
