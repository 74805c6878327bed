import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type BounceFilter,
  bounceTags,
  countBounces,
  findBounce,
  listBounces,
  markActive,
} from "../../src/archive/bounces.ts";
import { type NewBounce, writeRecords } from "../../src/archive/write.ts";
import { type Databases, NOON, openDatabases } from "./databases.ts";

let db: Databases;
const bounce = (of: Partial<NewBounce>): NewBounce => ({
  serverId: 1,
  messageId: "m",
  email: "a@x.example",
  type: "HardBounce",
  stream: "outbound",
  tag: "",
  fromEmail: "sender@example.com",
  subject: "",
  details: "",
  bouncedAt: NOON,
  inactive: true,
  ...of,
});
/** In the order of their making; `subject` is their name. */
const BOUNCES = [
  bounce({ subject: "hard" }),
  bounce({ subject: "soft", type: "SoftBounce", inactive: false, email: "b@y.example", bouncedAt: NOON + 1 }),
  bounce({ subject: "tagged", messageId: "n", tag: "welcome", bouncedAt: NOON + 2 }),
  bounce({ subject: "news", stream: "news", messageId: "o", tag: "news" }),
  bounce({ subject: "theirs", serverId: 2, tag: "secret" }),
];

beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(async () => {
  await db.clear();
  await writeRecords(db.archive, [], BOUNCES);
});
afterAll(() => db.dispose());

const list = async (filter: Partial<BounceFilter>, page = { count: 50, offset: 0 }, serverId = 1) => {
  const query = { filter: { stream: "outbound", ...filter }, page };
  const { total, bounces } = await listBounces(db.archive, serverId, query);
  return { total, names: bounces.map((b) => b.subject), bounces };
};

describe("listing bounces", () => {
  it.each<[string, Partial<BounceFilter>, string[]]>([
    ["nothing but the stream", {}, ["tagged", "soft", "hard"]],
    ["another stream", { stream: "news" }, ["news"]],
    ["type", { type: "SoftBounce" }, ["soft"]],
    ["inactive", { inactive: true }, ["tagged", "hard"]],
    ["not inactive", { inactive: false }, ["soft"]],
    ["part of the address, any case", { email: "@Y.ex" }, ["soft"]],
    ["tag", { tag: "welcome" }, ["tagged"]],
    ["message", { messageId: "m" }, ["soft", "hard"]],
    ["from a time on", { from: NOON + 1 }, ["tagged", "soft"]],
    ["up to a time", { to: NOON + 1 }, ["soft", "hard"]],
    ["several", { messageId: "m", inactive: true, from: NOON, to: NOON }, ["hard"]],
    ["none", { type: "Blocked" }, []],
  ])("by %s", async (_what, filter, names) => {
    expect(await list(filter)).toMatchObject({ names, total: names.length });
  });

  it("page by page, each with the whole count", async () => {
    // One more than was asked for tells that there is more.
    expect(await list({}, { count: 1, offset: 0 })).toMatchObject({ names: ["tagged", "soft"], total: 3 });
    expect(await list({}, { count: 2, offset: 2 })).toMatchObject({ names: ["hard"], total: 3 });
    expect(await list({}, { count: 2, offset: 4 })).toMatchObject({ names: [], total: 3 });
  });

  it("shows a server its own only", async () => {
    expect(await list({}, undefined, 2)).toMatchObject({ names: ["theirs"], total: 1 });
    expect(await list({}, undefined, 3)).toMatchObject({ names: [], total: 0 });
  });
});

describe("a bounce", () => {
  it("is found by its number, by its own server", async () => {
    const [first] = (await list({ type: "SoftBounce" })).bounces;
    expect(await findBounce(db.archive, 1, first?.id ?? 0)).toMatchObject({
      subject: "soft",
      inactive: false,
    });
    expect(await findBounce(db.archive, 2, first?.id ?? 0)).toBeUndefined();
    expect(await findBounce(db.archive, 1, 999_999)).toBeUndefined();
  });
});

describe("all bounces of a server", () => {
  it("are counted by type", async () => {
    expect(await countBounces(db.archive, 1)).toEqual([
      { type: "HardBounce", count: 3, inactive: 3 },
      { type: "SoftBounce", count: 1, inactive: 0 },
    ]);
    expect(await countBounces(db.archive, 3)).toEqual([]);
  });

  it("have tags, each once", async () => {
    expect(await bounceTags(db.archive, 1)).toEqual(["news", "welcome"]);
    expect(await bounceTags(db.archive, 3)).toEqual([]);
  });

  it("are active again for an address on its stream, and no other", async () => {
    await markActive(db.archive, 1, "outbound", []);
    expect(await list({ inactive: true })).toMatchObject({ total: 2 });
    for (let i = 0; i < 2; i++) await markActive(db.archive, 1, "outbound", ["z@x.example", "A@x.example"]);
    expect(await list({ inactive: true })).toMatchObject({ total: 0 });
    expect(await list({ inactive: true, stream: "news" })).toMatchObject({ total: 1 });
    expect(await list({ inactive: true }, undefined, 2)).toMatchObject({ total: 1 });
  });
});
