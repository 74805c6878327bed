import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reactivate, suppress } from "../../src/suppress/list.ts";
import { listSuppressions, type SuppressionFilter } from "../../src/suppress/search.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

const ON = { serverId: 1, stream: "outbound" };
let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
  await suppress(
    db.directory,
    [
      { ...ON, email: "bounced@x.example", reason: "HardBounce", origin: "Recipient", since: NOON },
      { ...ON, email: "manual@x.example", reason: "ManualSuppression", origin: "Customer", since: NOON + 1 },
      { ...ON, email: "left@x.example", reason: "ManualSuppression", origin: "Recipient", since: NOON + 2 },
      { ...ON, email: "angry@x.example", reason: "SpamComplaint", origin: "Recipient", since: NOON + 3 },
      { ...ON, email: "gone@x.example", reason: "HardBounce", origin: "Recipient", since: NOON + 4 },
      { ...ON, stream: "news", email: "n@x.example", reason: "HardBounce", origin: "Recipient", since: NOON },
      { ...ON, serverId: 2, email: "o@x.example", reason: "HardBounce", origin: "Recipient", since: NOON },
    ],
    NOON + 10,
  );
  await reactivate(db.directory, 1, "outbound", "gone@x.example", NOON + 20);
});
afterAll(() => db.dispose());

describe("listing suppressions", () => {
  it.each<[string, SuppressionFilter, string[]]>([
    ["nothing", {}, ["angry", "bounced", "left", "manual"]],
    ["reason", { reason: "ManualSuppression" }, ["left", "manual"]],
    ["origin", { origin: "Recipient" }, ["angry", "bounced", "left"]],
    ["both", { reason: "ManualSuppression", origin: "Recipient" }, ["left"]],
    ["address in any case", { emails: ["Manual@X.example"] }, ["manual"]],
    ["several addresses", { emails: ["left@x.example", "angry@x.example"] }, ["angry", "left"]],
    ["no address", { emails: [] }, []],
    ["part of an address", { emails: ["manual"] }, []],
    ["one that was removed", { emails: ["gone@x.example"] }, []],
    ["from a time on", { from: NOON + 2 }, ["angry", "left"]],
    ["up to a time", { to: NOON + 1 }, ["bounced", "manual"]],
  ])("by %s", async (_what, filter, names) => {
    const found = await listSuppressions(db.directory, ON, filter, { limit: 10 });
    expect(found.map((s) => s.email)).toEqual(names.map((name) => `${name}@x.example`));
  });

  it("goes on behind the last one seen", async () => {
    const page = async (after?: string) =>
      (await listSuppressions(db.directory, ON, {}, { after, limit: 3 })).map((s) => s.email);
    expect(await page()).toEqual(["angry@x.example", "bounced@x.example", "left@x.example"]);
    expect(await page("left@x.example")).toEqual(["manual@x.example"]);
    expect(await page("manual@x.example")).toEqual([]);
  });
});
