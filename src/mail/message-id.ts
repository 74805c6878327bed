/**
 * The name of an accepted message: a UUID of version 8 (RFC 9562 §5.8) that sorts by time and says which Outbox
 * accepted it, so that a message is found before its flush and without an index.
 *
 *   48 bits  time of acceptance, ms    4 bits  version (8)          12 bits  random
 *    2 bits  variant                   6 bits  region, 4 number     52 bits  random
 *
 * It is not a secret: who may read a message is decided by the token, never by knowing an id.
 */
export const REGIONS = [
  "local",
  "wnam",
  "enam",
  "sam",
  "weur",
  "eeur",
  "apac",
  "apac-ne",
  "apac-se",
  "oc",
  "afr",
  "me",
] as const;
export type Region = (typeof REGIONS)[number];

export const MAX_SHARD_NUMBER = 15;

/** One Outbox of a server: objects are made near their first caller, so each region has its own. */
export interface Shard {
  region: Region;
  /** Within its region, 0 to 15. */
  number: number;
}

export interface MessagePlace extends Shard {
  acceptedAt: number;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** `random` is 8 bytes, all of whose 64 bits are used. */
export function formatMessageId(place: MessagePlace, random: Uint8Array): string {
  const hex = (n: number, digits: number) => n.toString(16).padStart(digits, "0");
  const byte = (i: number) => random[i] ?? 0;
  const time = hex(place.acceptedAt, 12);
  const low = hex(byte(0) * 16 + (byte(1) >> 4), 3);
  const place16 = 0x8000 | (REGIONS.indexOf(place.region) << 8) | (place.number << 4) | (byte(1) & 15);
  let tail = "";
  for (let i = 2; i < 8; i++) tail += hex(byte(i), 2);
  return `${time.slice(0, 8)}-${time.slice(8)}-8${low}-${hex(place16, 4)}-${tail}`;
}

/** Where the message of this id is; undefined when it is not an id of ours. Upper case is accepted. */
export function parseMessageId(id: string): MessagePlace | undefined {
  const text = id.toLowerCase();
  if (!UUID.test(text)) return undefined;
  const place16 = Number.parseInt(text.slice(19, 23), 16);
  const region = REGIONS[(place16 >> 8) & 63];
  if (region === undefined) return undefined;
  const acceptedAt = Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16);
  return { acceptedAt, region, number: (place16 >> 4) & 15 };
}

/** "7/weur/0": the name of the Outbox, also in jobs. */
export function shardName(serverId: number, shard: Shard): string {
  return `${serverId}/${shard.region}/${shard.number}`;
}

/** The parts of a shard's name; throws on anything else, since names only come from us. */
export function parseShardName(name: string): Shard & { serverId: number } {
  const [server, region, number] = name.split("/");
  const known = REGIONS.find((r) => r === region);
  if (known === undefined || !server || !number) throw new Error(`not a shard's name: ${name}`);
  return { serverId: Number(server), region: known, number: Number(number) };
}
