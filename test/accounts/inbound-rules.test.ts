import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blockedBy, blockingRule, createInboundRule, parseRule } from "../../src/accounts/inbound-rules.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
afterAll(() => db.dispose());

describe("a rule", () => {
  it.each([
    ["a@b.com", "a@b.com"],
    [" Someone@Example.COM ", "someone@example.com"],
    ["B.com", "b.com"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["a@bücher.example", "a@xn--bcher-kva.example"],
  ])("may be %j", (text, rule) => {
    expect(parseRule(text)).toBe(rule);
  });

  it.each([
    "",
    "com",
    "@b.com",
    "a@",
    "a@b",
    "*@b.com",
    "a b.com",
    "a@b.com, c@d.com",
    "A <a@b.com>",
    "a@b@c.com",
    "1.2.3.4",
    "-b.com",
    "b..com",
    '"a"@b.com',
  ])("is not %j, unless it is an address", (text) => {
    // An asterisk is a letter like others in a local part (RFC 5322 §3.2.3), and stands for itself.
    expect(parseRule(text)).toBe(text.startsWith("*") ? text : undefined);
  });
});

describe("mail is stopped", () => {
  const RULES = ["spam@a.example", "b.example"];
  it.each([
    ["spam@a.example", "spam@a.example"],
    ["Spam@A.Example", "spam@a.example"],
    ["ham@a.example", undefined],
    ["anyone@b.example", "b.example"],
    ["anyone@mail.b.example", undefined],
    ["anyone@notb.example", undefined],
    ["b.example", undefined],
    ["", undefined],
  ])("of %j by %j", async (sender, rule) => {
    expect(blockedBy(RULES, sender)).toBe(rule);
    expect(blockedBy([], sender)).toBeUndefined();
    for (const each of RULES) await createInboundRule(db.directory, 1, each, NOON);
    expect(await blockingRule(db.directory, 1, sender)).toBe(rule);
    expect(await blockingRule(db.directory, 2, sender)).toBeUndefined();
  });
});
