import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reactivate, suppress } from "../../src/suppress/list.ts";
import { listSuppressions, type SuppressionFilter } from "../../src/suppress/search.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
  const on = { serverId: 1, stream: "outbound" };
  await suppress(
    db.directory,
    [
      { ...on, email: "bounced@x.example", reason: "HardBounce", origin: "Recipient", since: NOON },
      { ...on, email: "manual@x.example", reason: "ManualSuppression", origin: "Customer", since: NOON + 1 },
      { ...on, email: "left@x.example", reason: "ManualSuppression", origin: "Recipient", since: NOON + 2 },
      { ...on, email: "angry@x.example", reason: "SpamComplaint", origin: "Recipient", since: NOON + 3 },
      { ...on, email: "gone@x.example", reason: "HardBounce", origin: "Recipient", since: NOON + 4 },
      { ...on, stream: "news", email: "n@x.example", reason: "HardBounce", origin: "Recipient", since: NOON },
      { ...on, serverId: 2, email: "o@x.example", reason: "HardBounce", origin: "Recipient", since: NOON },
    ],
    NOON + 10,
  );
  await reactivate(db.directory, 1, "outbound", "gone@x.example", NOON + 20);
});
afterAll(() => db.dispose());

describe("listing suppressions", () => {
  it.each<[string, SuppressionFilter, string[]]>([
    ["nothing", {}, ["angry", "left", "manual", "bounced"]],
    ["reason", { reason: "ManualSuppression" }, ["left", "manual"]],
    ["origin", { origin: "Recipient" }, ["angry", "left", "bounced"]],
    ["both", { reason: "ManualSuppression", origin: "Recipient" }, ["left"]],
    ["address in any case", { emails: ["Manual@X.example"] }, ["manual"]],
    ["several addresses", { emails: ["left@x.example", "angry@x.example"] }, ["angry", "left"]],
    ["no address", { emails: [] }, []],
    ["part of an address", { emails: ["manual"] }, []],
    ["one that was removed", { emails: ["gone@x.example"] }, []],
    ["from a time on", { from: NOON + 2 }, ["angry", "left"]],
    ["up to a time", { to: NOON + 1 }, ["manual", "bounced"]],
  ])("by %s", async (_what, filter, names) => {
    const found = await listSuppressions(db.directory, 1, "outbound", filter);
    expect(found.map((s) => s.email)).toEqual(names.map((name) => `${name}@x.example`));
  });
});
