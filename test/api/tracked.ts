/** Two accounts whose servers' statistics, opens and clicks can be asked for. */
import { clickEndpoints } from "../../src/api/clicks.ts";
import { openEndpoints } from "../../src/api/opens.ts";
import type { ReadNeeds } from "../../src/api/read-needs.ts";
import { statsEndpoints } from "../../src/api/stats.ts";
import { NOTHING_PENDING } from "../../src/archive/pending.ts";
import { openSettings, type Settings } from "./settings.ts";

export interface Tracked extends Settings {
  away: { archive: boolean };
}

/** What the settings have not. */
type More = Omit<ReadNeeds, keyof Settings["needs"]>;

const AWAY = {
  prepare: () => AWAY,
  bind: () => AWAY,
  batch: () => Promise.reject(new Error("D1: away")),
  all: () => Promise.reject(new Error("D1: away")),
  raw: () => Promise.reject(new Error("D1: away")),
};

export async function openTracked(): Promise<Tracked> {
  const away = { archive: false };
  const settings = await openSettings<More>(
    (needs) => [...statsEndpoints(needs), ...openEndpoints(needs), ...clickEndpoints(needs)],
    ({ db }) => ({
      archive: () => (away.archive ? (AWAY as unknown as D1Database) : db.archive),
      pending: async () => ({ ...NOTHING_PENDING, isQuiet: true }),
      held: async () => undefined,
      segment: async () => undefined,
      copyFor: async ({ bytes }) => bytes,
      announce: async () => undefined,
    }),
  );
  return Object.assign(settings, { away });
}
