/** Which Outboxes to ask for a caller, in order: near first, then the neighbours, so that a region may fail. Pure. */
import { MAX_SHARD_NUMBER, REGIONS, type Region, type Shard } from "./message-id.ts";

/** More than this many tries takes longer than a caller waits. */
const MAX_TRIES = 4;

/** Where to go when a region's objects do not answer. */
const NEIGHBOUR: Record<Region, Region> = {
  local: "local",
  wnam: "enam",
  enam: "wnam",
  sam: "enam",
  weur: "eeur",
  eeur: "weur",
  apac: "oc",
  "apac-ne": "apac",
  "apac-se": "apac",
  oc: "apac",
  afr: "weur",
  me: "eeur",
};

const CONTINENTS: Record<string, Region> = {
  EU: "weur",
  NA: "enam",
  SA: "sam",
  AS: "apac",
  OC: "oc",
  AF: "afr",
  AN: "oc",
};

/** The region of a request, from what the edge says of its caller; "local" where there is no edge. */
export function regionOf(cf: { continent?: string; longitude?: string } | undefined): Region {
  if (!cf?.continent) return "local";
  const east = Number(cf.longitude ?? 0);
  if (cf.continent === "NA" && east < -100) return "wnam";
  if (cf.continent === "EU" && east > 20) return "eeur";
  return CONTINENTS[cf.continent] ?? "enam";
}

/** An idempotency key picks its shard, so that the same key meets its first answer from anywhere. */
export function shardsFor(region: Region, perRegion: number, key?: string): Shard[] {
  const count = Math.min(Math.max(1, perRegion), MAX_SHARD_NUMBER + 1);
  if (key !== undefined) {
    const hash = [...key].reduce((h, c) => (Math.imul(h, 31) + (c.codePointAt(0) ?? 0)) >>> 0, 7);
    const home: Region = region === "local" ? "local" : (REGIONS[1 + (hash % 5)] ?? "enam");
    return [{ region: home, number: hash % count }];
  }
  const shards: Shard[] = [];
  const first = Math.floor(Math.random() * count);
  for (let i = 0; i < Math.min(count, MAX_TRIES - 1); i++)
    shards.push({ region, number: (first + i) % count });
  const neighbour = NEIGHBOUR[region];
  // Where there is no other region, the next number stands in for it.
  if (neighbour !== region) shards.push({ region: neighbour, number: first });
  else shards.push({ region, number: Math.min(count, MAX_SHARD_NUMBER) });
  return shards;
}
