/** Statistics on real databases: what record(), recordOpens() and recordClicks() counted, as Postmark's paths show it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openApiDocument } from "../../src/api/openapi.ts";
import type { ReadNeeds } from "../../src/api/read-needs.ts";
import { statsEndpoints } from "../../src/api/stats.ts";
import { recordClicks } from "../../src/track/click.ts";
import { recordOpens } from "../../src/track/open.ts";
import { readerOf } from "../../src/track/reader.ts";
import { record, recordBounces } from "../../src/track/record.ts";
import { delivered, hardBounced, message, NOON, waiting } from "../archive/databases.ts";
import { openTracked, type Tracked } from "./tracked.ts";

const ROOT = "/stats/outbound";
/** The clocks go forward at two in the morning of the 8th, so that the day has 23 hours, and back on the 1st of November. */
const SPRING_FIRST = Date.UTC(2026, 2, 8, 5);
const SPRING_LAST = Date.UTC(2026, 2, 9, 4) - 1;
const AUTUMN_FIRST = Date.UTC(2026, 10, 1, 4);
const AUTUMN_LAST = Date.UTC(2026, 10, 2, 5) - 1;

const GMAIL = readerOf("opened", { userAgent: "GoogleImageProxy" });
const PHONE = readerOf("opened", {
  userAgent:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
});
const CHROME = readerOf("clicked", {
  userAgent:
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
});
const NOBODY = readerOf("opened", { userAgent: "" });

let api: Tracked;
beforeAll(async () => {
  api = await openTracked();
  const { serverId } = api.ours;
  const needs = { ...api.db, now: () => NOON };
  const refused = { ...waiting("r@x.example"), state: "bounced" as const, bounceType: "SMTPApiError" };
  const soft = { ...hardBounced("s@x.example", AUTUMN_LAST), bounceType: "SoftBounce" };
  const tracked = message([delivered("a@x.example"), delivered("b@x.example")], {
    ...{ serverId, receivedAt: SPRING_FIRST, tag: "welcome" },
    summary: { trackOpens: true, trackLinks: "HtmlAndText", trackedLinks: 2 },
  });
  const sent = [
    tracked,
    message([delivered("a@x.example")], {
      serverId,
      receivedAt: SPRING_FIRST - 1,
      summary: { trackOpens: true },
    }),
    message([hardBounced("h@x.example", SPRING_LAST), refused], { serverId, receivedAt: SPRING_LAST }),
    message([delivered("a@x.example")], { serverId, receivedAt: SPRING_LAST + 1, stream: "broadcast" }),
    message([soft], { serverId, receivedAt: AUTUMN_FIRST, tag: "welcome" }),
    message([delivered("a@x.example")], {
      serverId,
      receivedAt: AUTUMN_LAST,
      summary: { trackLinks: "HtmlOnly" },
    }),
    message([delivered("a@x.example")], { serverId, receivedAt: AUTUMN_LAST + 1 }),
    message([{ ...waiting("z@x.example"), state: "suppressed" }], { serverId }),
    message([delivered("a@x.example")], { serverId: api.theirs.serverId }),
  ];
  // Twice: it is told at least once.
  for (let i = 0; i < 2; i++) await record(needs, sent);
  await recordBounces(needs, [
    {
      ...{ serverId, messageId: tracked.id, email: "b@x.example", type: "SpamComplaint", stream: "outbound" },
      ...{ tag: "welcome", fromEmail: "sender@example.com", subject: "Hello", details: "", inactive: true },
      bouncedAt: AUTUMN_FIRST,
    },
  ]);
  const of = { serverId, messageId: tracked.id, stream: "outbound", tag: "welcome" };
  const seen = (email: string, at: number, reader = GMAIL) => ({ ...of, email, at, reader });
  await recordOpens(api.db.archive, [
    seen("a@x.example", SPRING_FIRST),
    { ...seen("b@x.example", SPRING_LAST, PHONE), readSeconds: 5 },
    seen("a@x.example", SPRING_LAST + 1),
    { ...seen("c@x.example", SPRING_LAST + 1, NOBODY), readSeconds: 21 },
  ]);
  const link = "https://example.com/";
  await recordClicks(api.db.archive, [
    { ...seen("a@x.example", SPRING_FIRST, CHROME), link, location: "HTML" },
    { ...seen("a@x.example", SPRING_LAST, CHROME), link, location: "Text" },
    { ...seen("a@x.example", AUTUMN_FIRST, PHONE), link: `${link}2`, location: "Text" },
  ]);
});
afterAll(() => api.dispose());

const get = async (path: string, as = api.ours) => {
  const { status, json } = await api.call("GET", path, undefined, as);
  expect(status, JSON.stringify(json)).toBe(200);
  return json;
};

const TABLES: [string, unknown][] = [
  [
    "sends",
    {
      Days: [
        { Date: "2026-03-07", Sent: 1 },
        { Date: "2026-03-08", Sent: 3 },
        { Date: "2026-03-09", Sent: 1 },
        { Date: "2026-11-01", Sent: 2 },
        { Date: "2026-11-02", Sent: 1 },
      ],
      Sent: 8,
    },
  ],
  [
    "bounces",
    {
      Days: [
        { Date: "2026-02-17", SMTPApiError: 1 },
        { Date: "2026-03-08", HardBounce: 1 },
        { Date: "2026-11-01", SoftBounce: 1 },
      ],
      HardBounce: 1,
      SMTPApiError: 1,
      SoftBounce: 1,
    },
  ],
  ["spam", { Days: [{ Date: "2026-11-01", SpamComplaint: 1 }], SpamComplaint: 1 }],
  [
    "tracked",
    {
      Days: [
        { Date: "2026-03-07", Tracked: 1 },
        { Date: "2026-03-08", Tracked: 2 },
        { Date: "2026-11-01", Tracked: 1 },
      ],
      Tracked: 4,
    },
  ],
  [
    "opens",
    {
      Days: [
        { Date: "2026-03-08", Opens: 2, Unique: 2 },
        { Date: "2026-03-09", Opens: 2, Unique: 1 },
      ],
      Opens: 4,
      Unique: 3,
    },
  ],
  [
    "opens/platforms",
    {
      Days: [
        { Date: "2026-03-08", Mobile: 1, WebMail: 1 },
        { Date: "2026-03-09", Unknown: 1 },
      ],
      Mobile: 1,
      WebMail: 1,
      Unknown: 1,
    },
  ],
  [
    "opens/emailClients",
    {
      Days: [
        { Date: "2026-03-08", "Apple Mail": 1, Gmail: 1 },
        { Date: "2026-03-09", unknown: 1 },
      ],
      "Apple Mail": 1,
      Gmail: 1,
      unknown: 1,
    },
  ],
  [
    "opens/readTimes",
    {
      Days: [
        { Date: "2026-03-08", "5s": 1, unknown: 1 },
        { Date: "2026-03-09", "20s+": 1 },
      ],
      "5s": 1,
      unknown: 1,
      "20s+": 1,
    },
  ],
  [
    "clicks",
    {
      Days: [
        { Date: "2026-03-08", Clicks: 2, Unique: 1 },
        { Date: "2026-11-01", Clicks: 1, Unique: 1 },
      ],
      Clicks: 3,
      Unique: 2,
    },
  ],
  [
    "clicks/browserFamilies",
    {
      Days: [
        { Date: "2026-03-08", Chrome: 1 },
        { Date: "2026-11-01", "Apple Mail": 1 },
      ],
      Chrome: 1,
      "Apple Mail": 1,
    },
  ],
  [
    "clicks/platforms",
    {
      Days: [
        { Date: "2026-03-08", Desktop: 1 },
        { Date: "2026-11-01", Mobile: 1 },
      ],
      Desktop: 1,
      Mobile: 1,
    },
  ],
  [
    "clicks/location",
    {
      Days: [
        { Date: "2026-03-08", HTML: 1 },
        { Date: "2026-11-01", Text: 1 },
      ],
      HTML: 1,
      Text: 1,
    },
  ],
];
const PATHS = ["", ...TABLES.map(([path]) => `/${path}`)];

const OVERVIEW = {
  ...{ Sent: 8, Bounced: 2, SMTPApiErrors: 1, BounceRate: 25, SpamComplaints: 1, SpamComplaintsRate: 12.5 },
  ...{
    Opens: 4,
    UniqueOpens: 3,
    Tracked: 4,
    WithOpenTracking: 3,
    WithLinkTracking: 3,
    TotalTrackedLinksSent: 4,
  },
  ...{ TotalClicks: 3, UniqueLinksClicked: 2 },
  ...{ WithClientRecorded: 2, WithPlatformRecorded: 2, WithReadTimeRecorded: 2 },
};
const NOTHING = Object.fromEntries(Object.keys(OVERVIEW).map((key) => [key, 0]));

describe("statistics", () => {
  it.each(TABLES)("%s, by Eastern days", async (path, expected) => {
    expect(await get(`${ROOT}/${path}`)).toEqual(expected);
  });

  it("in an overview with every key, in which what was refused is neither sent nor bounced", async () => {
    expect(await get(ROOT)).toEqual(OVERVIEW);
  });

  it("of a tag, a stream, and both", async () => {
    expect(await get(`${ROOT}/sends?tag=welcome`)).toEqual({
      Days: [
        { Date: "2026-03-08", Sent: 2 },
        { Date: "2026-11-01", Sent: 1 },
      ],
      Sent: 3,
    });
    expect(await get(`${ROOT}/sends?tag=WELCOME`)).toEqual({ Days: [], Sent: 0 });
    const broadcast = { Days: [{ Date: "2026-03-09", Sent: 1 }], Sent: 1 };
    expect(await get(`${ROOT}/sends?messagestream=broadcast`)).toEqual(broadcast);
    expect(await get(`${ROOT}/sends?messageStream=broadcast&tag=welcome`)).toEqual({ Days: [], Sent: 0 });
    expect(await get(`${ROOT}?tag=welcome`)).toMatchObject({
      Sent: 3,
      Bounced: 1,
      BounceRate: 33.333,
      Opens: 4,
    });
  });

  it.each([
    ["fromdate=2026-03-09", ["2026-03-09", "2026-11-01", "2026-11-02"]],
    ["todate=2026-3-8", ["2026-03-07", "2026-03-08"]],
    ["fromDate=2026-03-08&toDate=2026-03-08", ["2026-03-08"]],
    ["fromdate=2026-11-01T23:30:00&todate=2026-11-02T00:30:00", ["2026-11-01", "2026-11-02"]],
    // The same instants with their zone: Eastern days all the same.
    ["fromdate=2026-11-02T04:30:00Z&todate=2026-11-02T04:59:59Z", ["2026-11-01"]],
    ["fromdate=1999-01-01&todate=2026-03-07", ["2026-03-07"]],
    ["fromdate=2027-01-01", []],
    ["count=1&offset=5&tag=", ["2026-03-07", "2026-03-08", "2026-03-09", "2026-11-01", "2026-11-02"]],
  ])("of a range of days, both included: %s", async (query, days) => {
    const { Days } = await get(`${ROOT}/sends?${query}`);
    expect(Days.map((day: { Date: string }) => day.Date)).toEqual(days);
  });

  it("are empty where there is none, with the totals that clients read as numbers", async () => {
    const none = "?fromdate=2030-01-01";
    expect(await get(`${ROOT}/bounces${none}`)).toEqual({ Days: [] });
    expect(await get(`${ROOT}/opens${none}`)).toEqual({ Days: [], Opens: 0, Unique: 0 });
    expect(await get(`${ROOT}/clicks/location${none}`)).toEqual({ Days: [] });
    expect(await get(`${ROOT}${none}`)).toEqual(NOTHING);
  });

  it("are those of the caller's server", async () => {
    expect(await get(`${ROOT}/sends`, api.theirs)).toEqual({
      Days: [{ Date: "2026-02-17", Sent: 1 }],
      Sent: 1,
    });
    expect(await get(ROOT, api.theirs)).toEqual({ ...NOTHING, Sent: 1 });
  });

  it.each(PATHS)("%s refuses what cannot be meant", async (path) => {
    const at = `${ROOT}${path}`;
    const refusal = async (query: string, as = api.ours) => {
      const { status, json } = await api.call("GET", `${at}?${query}`, undefined, as);
      return [status, json.ErrorCode];
    };
    expect(await refusal("fromdate=yesterday")).toEqual([422, 900]);
    expect(await refusal("todate=2026-02-30")).toEqual([422, 900]);
    expect(await refusal("fromdate=2026-03-02&todate=2026-03-01")).toEqual([422, 1502]);
    expect(await refusal("messagestream=nowhere")).toEqual([422, 1226]);
    const { serverToken: _, ...account } = api.ours;
    expect(await refusal("", account as never)).toEqual([401, 10]);
  });

  it("say that the archive is away, and not that there is nothing", async () => {
    api.away.archive = true;
    try {
      const { status, json } = await api.call("GET", ROOT);
      expect([status, json.ErrorCode]).toEqual([503, 100]);
    } finally {
      api.away.archive = false;
    }
  });

  it("answer as they are declared", async () => {
    for (const { declaration } of statsEndpoints({} as ReadNeeds)) {
      const answer = await get(declaration.path);
      expect(declaration.response.safeParse(answer).error, declaration.path).toBeUndefined();
    }
    expect(
      Object.keys(openApiDocument(statsEndpoints({} as ReadNeeds), "https://x.example").paths),
    ).toHaveLength(13);
  });
});
