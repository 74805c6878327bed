/**
 * A hook's settings, which not each batch of calls asks the directory for: they are known for a while, until somebody says that they
 * changed. What was asked before that is no answer any more.
 */
import type { HookSettings } from "../accounts/hook-settings.ts";
import { within } from "../mail/within.ts";
import { type HookNeeds, OWN_MS } from "./hook-needs.ts";

const KNOWN_MS = 30_000;

export class KnownSettings {
  readonly #name: string;
  readonly #needs: Pick<HookNeeds, "settings" | "now">;
  #known: { value: HookSettings | undefined; until: number } | undefined;
  #reading: Promise<HookSettings | undefined> | undefined;
  #changes = 0;

  constructor(name: string, needs: Pick<HookNeeds, "settings" | "now">) {
    this.#name = name;
    this.#needs = needs;
  }

  /** undefined when there is no such hook any more. Whoever asks while they are read waits for the same answer. */
  async read(): Promise<HookSettings | undefined> {
    if (this.#known && this.#needs.now() < this.#known.until) return this.#known.value;
    this.#reading ??= this.#ask();
    return this.#reading;
  }

  /** They changed, or may have. */
  forget(): void {
    this.#changes++;
    this.#known = undefined;
    this.#reading = undefined;
  }

  async #ask(): Promise<HookSettings | undefined> {
    const changes = this.#changes;
    const until = this.#needs.now() + KNOWN_MS;
    try {
      const value = await within(OWN_MS, this.#needs.settings(this.#name));
      if (changes !== this.#changes) return await this.read();
      this.#known = { value, until };
      return value;
    } finally {
      if (changes === this.#changes) this.#reading = undefined;
    }
  }
}
