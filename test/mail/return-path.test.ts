import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  COMPLAINT_PATTERN,
  formatComplaintAddress,
  formatProbeAddress,
  formatReturnPath,
  parseComplaintAddress,
  parseProbeAddress,
  parseReturnPath,
  RETURN_PATH_PATTERN,
  returnPathKey,
} from "../../src/mail/return-path.ts";

const OF = { serverId: 7, messageId: "018bcfe5-6800-8123-8000-0123456789ab" };
const DOMAIN = "bounces.example.com";
const WAYS = [
  { format: formatReturnPath, parse: parseReturnPath, pattern: RETURN_PATH_PATTERN },
  { format: formatComplaintAddress, parse: parseComplaintAddress, pattern: COMPLAINT_PATTERN },
  { format: formatProbeAddress, parse: parseProbeAddress, pattern: COMPLAINT_PATTERN.replace("c-", "p-") },
];
const local = (address: string) => address.slice(0, address.indexOf("@"));

describe.each(WAYS)("signed addresses: $pattern", ({ format, parse, pattern }) => {
  it("name server and message to who has the secret, and fit into a local part", async () => {
    const key = await returnPathKey("secret");
    for (const serverId of [1, 7, 35, 36, 123_456_789, Number.MAX_SAFE_INTEGER]) {
      const address = await format(key, { ...OF, serverId }, DOMAIN);
      expect(local(address).length).toBeLessThanOrEqual(64);
      expect(local(address)).toMatch(new RegExp(`^${pattern}$`));
      expect(await parse(key, address)).toEqual({ ...OF, serverId });
      expect(await parse(key, address.toUpperCase())).toEqual({ ...OF, serverId });
      expect(await parse(await returnPathKey("another"), address)).toBeUndefined();
    }
  });

  it("are not ours when one character differs", async () => {
    const key = await returnPathKey("secret");
    const address = await format(key, OF, DOMAIN);
    for (let i = 0; i < local(address).length; i++) {
      const other = address[i] === "0" ? "1" : "0";
      expect(await parse(key, address.slice(0, i) + other + address.slice(i + 1))).toBeUndefined();
    }
    // Nor for another server, or without one.
    for (const server of ["8", "07", "77", ""])
      expect(await parse(key, address.replace("-7-", server ? `-${server}-` : "-"))).toBeUndefined();
  });

  it("of any other shape are not ours", async () => {
    const key = await returnPathKey("secret");
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        expect(await parse(key, text)).toBeUndefined();
      }),
    );
  });
});

describe("signed addresses", () => {
  it("for one purpose are not for the other", async () => {
    const key = await returnPathKey("secret");
    const bounce = await formatReturnPath(key, OF, DOMAIN);
    const complaint = await formatComplaintAddress(key, OF, DOMAIN);
    expect(await parseComplaintAddress(key, bounce)).toBeUndefined();
    expect(await parseReturnPath(key, complaint)).toBeUndefined();
    expect(await parseComplaintAddress(key, bounce.replace("b-", "c-"))).toBeUndefined();
    expect(await parseReturnPath(key, complaint.replace("c-", "b-"))).toBeUndefined();
    expect(await parseProbeAddress(key, complaint.replace("c-", "p-"))).toBeUndefined();
  });

  it("for one recipient name them too, and are good for no other, nor for all", async () => {
    const key = await returnPathKey("secret");
    for (const { format, parse, pattern } of WAYS.slice(0, 2)) {
      for (const place of [0, 1, 35, 36, 49, 1_023]) {
        const address = await format(key, { ...OF, serverId: 36 ** 9 - 1, place }, DOMAIN);
        expect(local(address).length).toBeLessThanOrEqual(64);
        expect(local(address)).toMatch(new RegExp(`^${pattern}$`));
        expect(await parse(key, address)).toEqual({ ...OF, serverId: 36 ** 9 - 1, place });
      }
      const address = await format(key, { ...OF, place: 1 }, DOMAIN);
      for (const other of ["-7-0-", "-7-2-", "-7-01-", "-7-", "-71-", "-"])
        expect(await parse(key, address.replace("-7-1-", other))).toBeUndefined();
      const whole = await format(key, OF, DOMAIN);
      expect(await parse(key, whole.replace("-7-", "-7-1-"))).toBeUndefined();
    }
  });

  it("of mail from before servers were named are still known, without a server", async () => {
    const key = await returnPathKey("secret");
    // As it was made by the version before.
    const id = OF.messageId.replaceAll("-", "");
    const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(id));
    const address = `b-${id}-${Buffer.from(signature).toString("hex").slice(0, 16)}@${DOMAIN}`;
    expect(await parseReturnPath(key, address)).toEqual({ messageId: OF.messageId });
    expect(await parseComplaintAddress(key, address.replace("b-", "c-"))).toBeUndefined();
    expect(
      await parseReturnPath(
        key,
        address.replace(/.(?=@)/, (c) => (c === "0" ? "1" : "0")),
      ),
    ).toBe(undefined);
  });
});
