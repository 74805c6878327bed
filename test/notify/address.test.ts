import { describe, expect, it } from "vitest";
import { isPublic, refusalOf } from "../../src/notify/address.ts";

const hostOf = (authority: string) => new URL(`http://${authority}/`).hostname;
const resolving = (...addresses: string[]) => ({ allowPrivate: false, addressesOf: async () => addresses });

describe("what a webhook may reach", () => {
  it.each([
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[fe80::1]",
    "[fd00::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    // As a URL reads other spellings of 127.0.0.1.
    "2130706433",
    "0x7f.1",
    "127.1",
  ])("is not %s", async (authority) => {
    expect(await refusalOf(hostOf(authority), resolving())).toBe("The address is not a public one.");
  });

  it.each(["93.184.215.14", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]"])("is %s", async (authority) => {
    expect(await refusalOf(hostOf(authority), resolving())).toBeUndefined();
  });

  it("is a name all of whose addresses are public", async () => {
    expect(await refusalOf("hook.example", resolving("93.184.215.14", "2606:2800::1"))).toBeUndefined();
    expect(await refusalOf("hook.example", resolving("93.184.215.14", "127.0.0.1"))).toContain("not public");
    expect(await refusalOf("hook.example", resolving())).toContain("has no address");
    const away = { allowPrivate: false, addressesOf: () => Promise.reject(new Error("away")) };
    expect(await refusalOf("hook.example", away)).toContain("could not be looked up");
  });

  it("is anything on a developer's machine, and nobody is asked", async () => {
    const local = { allowPrivate: true, addressesOf: () => Promise.reject(new Error("asked")) };
    expect(await refusalOf("127.0.0.1", local)).toBeUndefined();
    expect(await refusalOf("hook.test", local)).toBeUndefined();
  });

  it("is no text that is no address", () => {
    for (const text of ["", "x", "1.2.3.4.5", "::g"]) expect(isPublic(text)).toBe(false);
  });
});
