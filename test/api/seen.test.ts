/** The lists of opens and clicks on real databases, with another account's rows beside ours. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clickEndpoints } from "../../src/api/clicks.ts";
import type { Endpoint } from "../../src/api/endpoint.ts";
import { openApiDocument } from "../../src/api/openapi.ts";
import { openEndpoints } from "../../src/api/opens.ts";
import type { ReadNeeds } from "../../src/api/read-needs.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { type NewClick, recordClicks } from "../../src/track/click.ts";
import { type NewOpen, recordOpens } from "../../src/track/open.ts";
import { readerOf } from "../../src/track/reader.ts";
import { record } from "../../src/track/record.ts";
import { delivered, message, NOON } from "../archive/databases.ts";
import { openTracked, type Tracked } from "./tracked.ts";

const OPENS = "/messages/outbound/opens";
const CLICKS = "/messages/outbound/clicks";
const PLACE = { country: "DE", region: "Bavaria", regionCode: "BY", city: "Munich" };
const PHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";
const CHROME =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const GMAIL = readerOf("opened", { userAgent: "GoogleImageProxy" });

let api: Tracked;
let first: MessageRecord;
let second: MessageRecord;
let news: MessageRecord;
let theirs: MessageRecord;

beforeAll(async () => {
  api = await openTracked();
  const { serverId } = api.ours;
  first = message([delivered("a@x.example"), delivered("b@x.example")], { serverId, tag: "welcome" });
  second = message([delivered("a@x.example")], { serverId, receivedAt: NOON + 86_400_000 });
  news = message([delivered("a@x.example")], { serverId, stream: "broadcast" });
  theirs = message([delivered("a@x.example")], { serverId: api.theirs.serverId });
  await record({ ...api.db, now: () => NOON }, [first, second, news, theirs]);
  const seen = (of: MessageRecord, email: string, at: number, userAgent = CHROME) => ({
    ...{ serverId: of.serverId, messageId: of.id, stream: of.stream, tag: of.tag, email, at },
    reader: readerOf("opened", { userAgent, place: PLACE, ip: "192.0.2.1" }),
  });
  const opens: NewOpen[] = [
    { ...seen(first, "a@x.example", NOON + 1_000, PHONE), readSeconds: 7 },
    { ...seen(first, "b@x.example", NOON + 2_000), reader: GMAIL },
    seen(second, "a@x.example", NOON + 86_400_000),
    seen(news, "a@x.example", NOON + 3_000),
    seen(theirs, "a@x.example", NOON + 4_000),
  ];
  await recordOpens(api.db.archive, opens);
  await recordOpens(api.db.archive, [seen(first, "a@x.example", NOON + 9_000)]);
  const click = (of: ReturnType<typeof seen>, link: string, location: NewClick["location"]) => ({
    ...{ ...of, link, location },
  });
  await recordClicks(api.db.archive, [
    click(seen(first, "a@x.example", NOON + 5_000), "https://example.com/1", "HTML"),
    click(seen(first, "a@x.example", NOON + 5_000), "https://example.com/2", "Text"),
    click(seen(second, "a@x.example", NOON + 86_400_000, PHONE), "https://example.com/1", "HTML"),
    click(seen(theirs, "a@x.example", NOON + 7_000), "https://example.com/1", "HTML"),
  ]);
});
afterAll(() => api.dispose());

const get = async (path: string, as = api.ours) => {
  const { status, json } = await api.call("GET", path, undefined, as);
  expect(status, JSON.stringify(json)).toBe(200);
  return json;
};
const refusal = async (path: string, as = api.ours) => {
  const { status, json } = await api.call("GET", path, undefined, as);
  return [status, json.ErrorCode];
};

describe("opens", () => {
  it("are the first of each recipient, newest first, in the default stream", async () => {
    const { TotalCount, Opens } = await get(`${OPENS}?count=100&offset=0`);
    expect(TotalCount).toBe(3);
    expect(Opens.map((o: { MessageID: string; Recipient: string }) => [o.MessageID, o.Recipient])).toEqual([
      [second.id, "a@x.example"],
      [first.id, "b@x.example"],
      [first.id, "a@x.example"],
    ]);
    expect(Opens[2]).toEqual({
      RecordType: "Open",
      FirstOpen: true,
      Client: { Name: "Apple Mail", Company: "Apple Inc.", Family: "Apple Mail" },
      OS: { Name: "iOS 17.5", Company: "Apple Inc.", Family: "iOS 17" },
      Platform: "Mobile",
      UserAgent: PHONE,
      ReadSeconds: 7,
      Geo: {
        ...{
          CountryISOCode: "DE",
          Country: "Germany",
          RegionISOCode: "BY",
          Region: "Bavaria",
          City: "Munich",
        },
        IP: "192.0.2.1",
      },
      MessageID: first.id,
      MessageStream: "outbound",
      ReceivedAt: "2026-02-17T07:00:01.0000000-05:00",
      Tag: "welcome",
      Recipient: "a@x.example",
    });
    expect(Opens[1]).toMatchObject({ Geo: {}, OS: { Name: "unknown" }, ReadSeconds: 0 });
    expect(Opens[0].Tag).toBe("");
  });

  it.each([
    ["recipient=A@x.example", 2],
    ["recipient=a@x.exampl", 0],
    ["recipient=a@x.example&messagestream=broadcast", 1],
    ["tag=welcome", 2],
    ["tag=Welcome", 0],
    ["client_name=Chrome+126.0.0.0", 1],
    ["clientName=chrome%20126.0.0.0", 1],
    ["client_company=Google+Inc.", 2],
    ["client_family=Gmail", 1],
    ["os_name=Windows+10", 1],
    ["os_company=Apple+Inc.", 1],
    ["os_family=iOS+17", 1],
    ["platform=mobile", 1],
    ["platform=WebMail", 2],
    ["platform=Unknown", 0],
    ["country=germany", 2],
    ["country=DE", 2],
    ["region=Bavaria", 2],
    ["region=BY", 2],
    ["city=Munich", 2],
    ["city=%27+or+1%3D1--", 0],
    ["messagestream=broadcast", 1],
    ["messagestream=nowhere", 0],
    ["fromdate=2026-02-18", 1],
    ["todate=2026-02-17", 2],
    ["fromdate=2026-02-17T07:00:02&todate=2026-02-17T07:00:02", 1],
    ["platform=Mobile&city=Munich&tag=welcome&recipient=a@x.example", 1],
  ])("fit a filter: %s", async (query, total) => {
    const { TotalCount, Opens } = await get(`${OPENS}?${query}`);
    expect([TotalCount, Opens.length]).toEqual([total, total]);
  });

  it("of one message, by its id in any case", async () => {
    const { TotalCount, Opens } = await get(`${OPENS}/${first.id.toUpperCase()}?count=1&offset=1`);
    expect([TotalCount, Opens.length, Opens[0].Recipient]).toEqual([2, 1, "a@x.example"]);
    expect(await get(`${OPENS}/${news.id}/`)).toMatchObject({ TotalCount: 1 });
  });

  it("of a message that nobody opened are none", async () => {
    const unread = message([delivered("a@x.example")], { serverId: api.ours.serverId });
    await record({ ...api.db, now: () => NOON }, [unread]);
    expect(await get(`${OPENS}/${unread.id}`)).toEqual({ TotalCount: 0, Opens: [] });
    expect(await get(`${CLICKS}/${unread.id}`)).toEqual({ TotalCount: 0, Clicks: [] });
  });
});

describe("clicks", () => {
  it("are the first of each recipient on each link, newest first", async () => {
    const { TotalCount, Clicks } = await get(CLICKS);
    expect(TotalCount).toBe(3);
    const told = Clicks.map((c: Record<string, string>) => [c.MessageID, c.OriginalLink, c.ClickLocation]);
    expect(told).toEqual([
      [second.id, "https://example.com/1", "HTML"],
      [first.id, "https://example.com/2", "Text"],
      [first.id, "https://example.com/1", "HTML"],
    ]);
    expect(Clicks[0]).toMatchObject({ RecordType: "Click", Platform: "Mobile", Recipient: "a@x.example" });
    expect(Clicks[0]).not.toHaveProperty("FirstOpen");
  });

  it("fit a filter, and are those of one message", async () => {
    expect(await get(`${CLICKS}?platform=Mobile`)).toMatchObject({ TotalCount: 1 });
    expect(await get(`${CLICKS}/${first.id}`)).toMatchObject({ TotalCount: 2 });
  });
});

describe("both lists", () => {
  it.each([OPENS, CLICKS])("%s refuses what cannot be meant", async (path) => {
    for (const query of ["count=0", "count=501", "count=x", "offset=-1", "count=500&offset=9501"])
      expect(await refusal(`${path}?${query}`), query).toEqual([422, 700]);
    for (const query of ["platform=Fridge", "fromdate=x", "cursor=abc", "cursor=WzFd"])
      expect(await refusal(`${path}?${query}`), query).toEqual([422, 700]);
    expect(await refusal(`${path}/${first.id}?count=-1`)).toEqual([422, 700]);
    for (const id of ["1", "00000000-0000-0000-0000-000000000000", theirs.id, "%27"])
      expect(await refusal(`${path}/${id}`), id).toEqual([422, 701]);
    const { serverToken: _, ...account } = api.ours;
    expect(await refusal(path, account as never)).toEqual([401, 10]);
    expect(await get(path, api.theirs)).toMatchObject({ TotalCount: 1 });
    expect(await get(`${path}/${theirs.id}`, api.theirs)).toMatchObject({ TotalCount: 1 });
    expect(await refusal(`${path}/${first.id}`, api.theirs)).toEqual([422, 701]);
  });

  it("say that the archive is away, and not that there is nothing", async () => {
    api.away.archive = true;
    try {
      for (const path of [OPENS, `${CLICKS}/${first.id}`]) expect(await refusal(path)).toEqual([503, 100]);
    } finally {
      api.away.archive = false;
    }
  });

  it("answer as they are declared", async () => {
    const none = {} as ReadNeeds;
    const all: Endpoint[] = [...openEndpoints(none), ...clickEndpoints(none)];
    for (const { declaration } of all) {
      const answer = await get(declaration.path.replace(":messageid", first.id));
      expect(declaration.response.safeParse(answer).error, declaration.path).toBeUndefined();
    }
    expect(Object.keys(openApiDocument(all, "https://x.example").paths)).toHaveLength(4);
  });

  it("are walked to their end by cursors, each row once, also of one moment and with long links", async () => {
    const { serverId } = api.theirs;
    const of = { serverId, messageId: theirs.id, stream: "broadcast", tag: "", reader: GMAIL };
    const opens = Array.from({ length: 25 }, (_, i) => ({
      ...{ ...of, email: `r${String(i).padStart(2, "0")}@x.example`, at: NOON + Math.floor(i / 10) },
    }));
    const link = `https://example.com/${"x".repeat(2_000)}`;
    const clicks = opens.map((open, i) => ({
      ...open,
      email: "one@x.example",
      link: link + i,
      location: "HTML" as const,
    }));
    await recordOpens(api.db.archive, opens);
    await recordClicks(api.db.archive, clicks);
    for (const [path, word, key] of [
      [OPENS, "Opens", "Recipient"],
      [CLICKS, "Clicks", "OriginalLink"],
    ] as const) {
      const walked: string[] = [];
      let cursor = "";
      for (let pages = 0; pages < 9; pages++) {
        const page = await get(`${path}?messagestream=broadcast&count=10&cursor=${cursor}`, api.theirs);
        expect(page.TotalCount).toBe(25);
        walked.push(...page[word].map((row: Record<string, string>) => row[key]));
        if (!page.NextCursor) break;
        cursor = page.NextCursor;
      }
      expect(walked).toHaveLength(25);
      expect(new Set(walked).size).toBe(25);
      const straight = await get(`${path}?messagestream=broadcast&count=500`, api.theirs);
      expect(straight[word].map((row: Record<string, string>) => row[key])).toEqual(walked);
      expect(straight).not.toHaveProperty("NextCursor");
    }
  });
});
