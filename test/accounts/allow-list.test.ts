import { describe, expect, it } from "vitest";
import { isAllowed, parseRange } from "../../src/accounts/allow-list.ts";

describe("an entry of an allow-list", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    [" 192.0.2.0/24 ", "192.0.2.0/24"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8::1", "2001:db8::1"],
    ["2001:db8:0:0:0:0:0:0/32", "2001:db8::/32"],
    ["::/0", "::/0"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.0/120", "192.0.2.0/24"],
  ])("%s is kept as %s", (text, kept) => {
    expect(parseRange(text)).toBe(kept);
  });

  it.each([
    "",
    "example.com",
    "192.0.2",
    "192.0.2.256",
    "0300.0.2.1",
    "0xc0000201",
    "3221225985",
    "192.0.2.0/33",
    "192.0.2.0/",
    "192.0.2.0/-1",
    "192.0.2.0/24/24",
    "192.0.2.0/1e1",
    "192.0.2.0/255.255.255.0",
    "2001:db8::/129",
    "::ffff:192.0.2.0/95",
    "fe80::1%eth0",
    "*",
  ])("is not %j", (text) => {
    expect(parseRange(text)).toBeUndefined();
  });
});

describe("a caller", () => {
  it.each([
    ["192.0.2.7", ["192.0.2.0/24"], true],
    ["192.0.3.7", ["192.0.2.0/24"], false],
    ["192.0.3.7", ["192.0.2.0/24", "192.0.3.7"], true],
    ["192.0.3.8", ["192.0.3.7"], false],
    ["::ffff:192.0.2.7", ["192.0.2.0/24"], true],
    ["2001:db8:1::7", ["2001:db8::/32"], true],
    ["2001:DB8:0:0::7", ["2001:db8::7"], true],
    ["2001:db9::7", ["2001:db8::/32"], false],
    ["192.0.2.7", ["::/0"], false],
    ["2001:db8::7", ["0.0.0.0/0"], false],
    ["unknown", ["0.0.0.0/0", "::/0"], false],
    ["", ["0.0.0.0/0"], false],
    ["192.0.2.7", [], false],
  ])("at %s is in %j: %s", (address, ranges, expected) => {
    expect(isAllowed(address, ranges)).toBe(expected);
  });
});
