import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashToken, newToken, serverIdOf } from "../../src/accounts/token.ts";

const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("tokens", () => {
  it("are UUIDs of version 8 that name their server, in any case", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), (serverId) => {
        const token = newToken(serverId);
        expect(token).toMatch(UUID_V8);
        expect(serverIdOf(token)).toBe(serverId);
        expect(serverIdOf(token.toUpperCase())).toBe(serverId);
      }),
    );
  });

  it("use all of their 90 random bits", () => {
    let ones = 0n;
    let zeros = 0n;
    for (let i = 0; i < 200; i++) {
      const bits = BigInt(`0x${newToken(1).replaceAll("-", "")}`);
      ones |= bits;
      zeros |= ~bits & ((1n << 128n) - 1n);
    }
    const changing = (ones & zeros).toString(2).replaceAll("0", "").length;
    expect(changing).toBe(90);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 32])("are not made for a server %d", (serverId) => {
    expect(() => newToken(serverId)).toThrow(RangeError);
  });

  it.each([
    "",
    "POSTMARK_API_TEST",
    "00000001-0000-4000-8000-000000000000",
    "00000000-0000-8000-8000-000000000000",
    "00000001-0000-8000-8000-00000000000",
    " 00000001-0000-8000-8000-000000000000",
    "00000001-0000-8000-c000-000000000000",
  ])("of others name no server: %s", (token) => {
    expect(serverIdOf(token)).toBeUndefined();
  });

  it("have one hash in any case", async () => {
    const token = newToken(7);
    expect(await hashToken(token.toUpperCase())).toBe(await hashToken(token));
    // FIPS 180-2, appendix B.1.
    expect(await hashToken("ABC")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});
