import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatMessageId,
  parseMessageId,
  parseShardName,
  REGIONS,
  shardName,
} from "../../src/mail/message-id.ts";

const place = fc.record({
  acceptedAt: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  region: fc.constantFrom(...REGIONS),
  number: fc.integer({ min: 0, max: 15 }),
});
const random = fc.uint8Array({ minLength: 8, maxLength: 8 });

describe("message ids", () => {
  it("are lower-case UUIDs of version 8 that say where the message is", () => {
    fc.assert(
      fc.property(place, random, (p, bytes) => {
        const id = formatMessageId(p, bytes);
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(parseMessageId(id)).toEqual(p);
        expect(parseMessageId(id.toUpperCase())).toEqual(p);
      }),
    );
  });

  it("sort by time", () => {
    fc.assert(
      fc.property(place, place, random, (a, b, bytes) => {
        fc.pre(a.acceptedAt < b.acceptedAt);
        expect(formatMessageId(a, bytes) < formatMessageId(b, bytes)).toBe(true);
      }),
    );
  });

  it("differ in all 64 random bits", () => {
    const p = { acceptedAt: 1_700_000_000_000, region: "weur", number: 3 } as const;
    const ids = new Set<string>();
    for (let bit = 0; bit < 64; bit++) {
      const bytes = new Uint8Array(8);
      bytes[bit >> 3] = 1 << (bit & 7);
      ids.add(formatMessageId(p, bytes));
    }
    expect(ids.size).toBe(64);
  });

  it("of others are not taken for ours", () => {
    for (const id of [
      "",
      "x",
      "0a129aee-e1cd-480d-b08d-4f48548ff48d",
      "not-a-uuid-at-all",
      `${"f".repeat(36)}`,
    ])
      expect(parseMessageId(id)).toBeUndefined();
  });
});

describe("names of shards", () => {
  it("are read back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 - 1 }), place, (serverId, { region, number }) => {
        expect(parseShardName(shardName(serverId, { region, number }))).toEqual({ serverId, region, number });
      }),
    );
  });

  it("throw when they are not ours", () => {
    for (const name of ["", "1", "1/mars/0", "1/weur"]) expect(() => parseShardName(name)).toThrow();
  });
});
