/**
 * The name of an accepted message: a UUID of version 8 (RFC 9562 §5.8) that sorts by time and says where the
 * message is, so that it is found before its flush and without an index.
 *
 *   48 bits  time of acceptance, ms        4 bits  version (8)     12 bits  pack, low part
 *    2 bits  variant                       6 bits  region and      10 bits  slot in the pack
 *   24 bits  pack, high part                       4 bits number   16 bits  random
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

export const MAX_PACK = 2 ** 36 - 1;
export const MAX_SLOT = 1023;
export const MAX_SHARD_NUMBER = 15;

export interface MessagePlace {
  acceptedAt: number;
  region: Region;
  /** The shard's number within its region, 0 to 15. */
  shard: number;
  /** The Outbox's pack, counted from 1, and the message's place in it. */
  pack: number;
  slot: number;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** `random` is 16 bits. */
export function formatMessageId(place: MessagePlace, random: number): string {
  const region = REGIONS.indexOf(place.region);
  const hex = (n: number, digits: number) => n.toString(16).padStart(digits, "0");
  const packLow = place.pack % 4096;
  const packHigh = Math.floor(place.pack / 4096);
  // variant 2, region 6, then 8 bits: shard 4 and the slot's upper 4
  const clock = 0x8000 | (region << 8) | (place.shard << 4) | (place.slot >> 6);
  const tail = (place.slot & 63) * 2 ** 42 + packHigh * 2 ** 18 + (random & 0xffff) * 4;
  const time = hex(place.acceptedAt, 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-8${hex(packLow, 3)}-${hex(clock, 4)}-${hex(tail, 12)}`;
}

/** Where the message of this id is; undefined when it is not an id of ours. Upper case is accepted. */
export function parseMessageId(id: string): MessagePlace | undefined {
  const text = id.toLowerCase();
  if (!UUID.test(text)) return undefined;
  const acceptedAt = Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16);
  const packLow = Number.parseInt(text.slice(15, 18), 16);
  const clock = Number.parseInt(text.slice(19, 23), 16);
  const tail = Number.parseInt(text.slice(24), 16);
  const region = REGIONS[(clock >> 8) & 63];
  if (region === undefined) return undefined;
  return {
    acceptedAt,
    region,
    shard: (clock >> 4) & 15,
    slot: ((clock & 15) << 6) | (Math.floor(tail / 2 ** 42) & 63),
    pack: (Math.floor(tail / 2 ** 18) % 2 ** 24) * 4096 + packLow,
  };
}

/** "7/weur/0": the name of the Outbox that took the message. */
export function shardName(serverId: number, place: Pick<MessagePlace, "region" | "shard">): string {
  return `${serverId}/${place.region}/${place.shard}`;
}
