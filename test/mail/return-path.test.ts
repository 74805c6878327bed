import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatReturnPath, parseReturnPath, returnPathKey } from "../../src/mail/return-path.ts";

const ID = "018bcfe5-6800-8123-8000-0123456789ab";

describe("return paths", () => {
  it("name their message to who has the secret, and fit into a local part", async () => {
    const key = await returnPathKey("secret");
    const address = await formatReturnPath(key, ID, "bounces.example.com");
    expect(address.split("@")[0]?.length).toBeLessThanOrEqual(64);
    expect(await parseReturnPath(key, address)).toBe(ID);
    expect(await parseReturnPath(key, address.toUpperCase())).toBe(ID);
    expect(await parseReturnPath(await returnPathKey("another"), address)).toBeUndefined();
  });

  it("are not ours when one character differs", async () => {
    const key = await returnPathKey("secret");
    const address = await formatReturnPath(key, ID, "bounces.example.com");
    const end = address.indexOf("@");
    for (let i = 2; i < end; i++) {
      if (address[i] === "-") continue;
      const other = address[i] === "0" ? "1" : "0";
      expect(await parseReturnPath(key, address.slice(0, i) + other + address.slice(i + 1))).toBeUndefined();
    }
  });

  it("of any other shape are not ours", async () => {
    const key = await returnPathKey("secret");
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        expect(await parseReturnPath(key, text)).toBeUndefined();
      }),
    );
  });
});
