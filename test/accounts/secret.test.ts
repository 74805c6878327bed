import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { open, seal } from "../../src/accounts/secret.ts";

describe("sealed secrets", () => {
  it("open to what was sealed, whatever it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 3_000 }), fc.string(), async (text, secret) => {
        expect(await open(await seal(text, secret), secret)).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  it("differ each time, and do not show what they hold", async () => {
    const [a, b] = [await seal("private", "s"), await seal("private", "s")];
    expect(a).not.toBe(b);
    expect(a).toMatch(/^v1\.[A-Za-z0-9+/=]+$/);
    expect(atob(a.slice(3))).not.toContain("private");
  });

  it("do not open with another secret", async () => {
    const sealed = await seal("private", "one");
    await expect(open(sealed, "two")).rejects.toThrow();
    expect(await open(sealed, "one")).toBe("private");
  });

  it("do not open when a byte was changed, anywhere", async () => {
    const sealed = await seal("private", "s");
    const bytes = Uint8Array.from(atob(sealed.slice(3)), (c) => c.charCodeAt(0));
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.slice();
      changed[i] = (changed[i] ?? 0) ^ 1;
      const text = `v1.${btoa(String.fromCharCode(...changed))}`;
      await expect(open(text, "s")).rejects.toThrow();
    }
  });

  it.each(["", "v2.AAAA", "plain text", "v1.", "v1.!!!"])(
    "do not open from anything else: %s",
    async (text) => {
      await expect(open(text, "s")).rejects.toThrow();
    },
  );
});
