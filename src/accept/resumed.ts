/** Domains that somebody said are worth trying now: said again at once it changes nothing, since each time is an attempt at all their mail. */

const EVERY_MS = 10_000;

export class Resumed {
  readonly #at = new Map<string, number>();

  /** Of these the ones that nobody named lately; they are named now. */
  news(domains: string[], now: number): Set<string> {
    for (const [domain, at] of this.#at) if (Math.abs(now - at) >= EVERY_MS) this.#at.delete(domain);
    const news = new Set(domains.filter((domain) => !this.#at.has(domain)));
    for (const domain of news) this.#at.set(domain, now);
    return news;
  }
}
