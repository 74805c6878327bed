import { drizzle } from "drizzle-orm/d1";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type InboundNeeds, inboundEndpoints } from "../../src/api/inbound.ts";
import type { InboundStatus } from "../../src/archive/inbound.ts";
import type { MailEvent } from "../../src/mail/event.ts";
import { type AgainNeeds, sweepAgain } from "../../src/receive/inbound/again.ts";
import { inbound } from "../../src/schema/archive.ts";
import { idAt, NOON } from "../archive/databases.ts";
import { openSettings, type Settings } from "./settings.ts";

let settings: Settings;
const told: (MailEvent & { serverId: number })[] = [];
let isLogAway = false;
const objects = new Map<string, Uint8Array>();
let again: AgainNeeds;
beforeAll(async () => {
  const families = (needs: InboundNeeds) => {
    again = needs;
    return inboundEndpoints(needs);
  };
  settings = await openSettings(families, ({ db }) => ({
    archive: () => db.archive,
    object: async (key: string) => objects.get(key),
    segment: async (key: string, offset: number, length: number) =>
      objects.get(key)?.subarray(offset, offset + length),
    directory: db.directory,
    tellEvents: async (serverId: number, events: MailEvent[]) => {
      if (isLogAway) throw new Error("the event log is away");
      told.push(...events.map((event) => ({ ...event, serverId })));
    },
  }));
});
beforeEach(() =>
  settings.db.directory.prepare("UPDATE servers SET inbound_hook_url = 'https://app.example/in'").run(),
);
beforeEach(() => settings.db.archive.prepare("DELETE FROM inbound").run());
afterAll(() => settings.dispose());

const sweep = () => sweepAgain(settings.db.archive, again);
const call = (method: string, path = "", as = settings.ours) =>
  settings.call(method, `/messages/inbound${path}`, undefined, as);
const address = (email: string, name = "", mailboxHash = "") => ({ email, name, mailboxHash });

/** As receiving writes it. */
async function take(of: Partial<typeof inbound.$inferInsert> & { serverId?: number } = {}): Promise<string> {
  const receivedAt = of.receivedAt ?? NOON;
  const row = {
    serverId: settings.ours.serverId,
    id: idAt(receivedAt),
    receivedAt,
    status: "processed" as InboundStatus,
    fromEmail: "joe@example.com",
    originalRecipient: "hash+box@inbound.example.com",
    mailboxHash: "box",
    tag: "",
    subject: "Hello",
    blockedReason: null,
    raw: `inbound/${receivedAt}`,
    summary: {
      from: address("Joe@example.com", "Joe"),
      to: [address("hash+box@inbound.example.com", 'The "Box"', "box"), address("c@x.example")],
      cc: [address("copy@x.example")],
      bcc: [],
      replyTo: "reply@example.com",
      date: "Tue, 17 Feb 2026 13:00:00 +0100",
      headers: [{ name: "X-A", value: "b" }],
      attachments: [{ name: "a.txt", contentType: "text/plain", contentLength: 5, contentId: "" }],
      textBody: "text",
      htmlBody: "<p>text</p>",
      strippedTextReply: "",
    },
    ...of,
  };
  await drizzle(settings.db.archive).insert(inbound).values(row);
  return row.id;
}
const subjects = async (query: string) =>
  (await call("GET", query)).json.InboundMessages.map((m: { Subject: string }) => m.Subject);

describe("received messages", () => {
  it("are shown with every field", async () => {
    const id = await take();
    const listed = {
      MessageStream: "inbound",
      MessageID: id,
      From: "Joe@example.com",
      FromName: "Joe",
      FromFull: { Email: "Joe@example.com", Name: "Joe", MailboxHash: "" },
      To: '"The \\"Box\\"" <hash+box@inbound.example.com>, c@x.example',
      ToFull: [
        { Email: "hash+box@inbound.example.com", Name: 'The "Box"', MailboxHash: "box" },
        { Email: "c@x.example", Name: "", MailboxHash: "" },
      ],
      Cc: "copy@x.example",
      CcFull: [{ Email: "copy@x.example", Name: "", MailboxHash: "" }],
      Bcc: "",
      BccFull: [],
      OriginalRecipient: "hash+box@inbound.example.com",
      ReplyTo: "reply@example.com",
      Subject: "Hello",
      Date: "Tue, 17 Feb 2026 13:00:00 +0100",
      MailboxHash: "box",
      Tag: "",
      Status: "Processed",
      Attachments: [{ Name: "a.txt", ContentType: "text/plain", ContentLength: 5, ContentID: "" }],
    };
    expect((await call("GET", "?count=1&offset=0")).json).toEqual({
      TotalCount: 1,
      InboundMessages: [listed],
    });
    expect((await call("GET", `/${id.toUpperCase()}/details`)).json).toEqual({
      ...listed,
      TextBody: "text",
      HtmlBody: "<p>text</p>",
      StrippedTextReply: "",
      Headers: [{ Name: "X-A", Value: "b" }],
      BlockedReason: null,
    });
  });

  it("are dumped as they came, while they are kept", async () => {
    const id = await take({ raw: "inbound/one" });
    expect((await call("GET", `/${id}/dump`)).json).toEqual({ Body: "" });
    objects.set("inbound/one", new TextEncoder().encode("Subject: grün\r\n\r\ntext"));
    expect((await call("GET", `/${id}/dump`)).json).toEqual({ Body: "Subject: grün\r\n\r\ntext" });
  });

  it.each([0, 40, -40])(
    "are shown whole though their row is cut, by a payload %i bytes longer than it says",
    async (more) => {
      const said = { TextBody: "all of it", HtmlBody: 'a,"Attachments":[', StrippedTextReply: "" };
      const head = JSON.stringify({ ...said, Headers: [{ Name: "X-A", Value: "c" }] }).slice(0, -1);
      objects.set("inbound/one.json", new TextEncoder().encode(`${head},"Attachments":[{"Name":"a.txt"}]}`));
      const id = await take({ payload: "inbound/one.json" });
      await settings.db.archive
        .prepare("UPDATE inbound SET summary = json_set(summary, '$.whole', ?)")
        .bind(head.length - more)
        .run();
      expect((await call("GET", `/${id}/details`)).json).toMatchObject({
        ...said,
        Headers: [{ Name: "X-A", Value: "c" }],
        Attachments: [{ Name: "a.txt" }],
      });
    },
  );

  it.each<[string, string[]]>([
    ["", ["late", "early"]],
    ["?status=Processed", ["late", "early"]],
    ["?status=blocked", ["spam"]],
    ["?status=failed", []],
    ["?recipient=OTHER@inbound.example.com", ["late"]],
    ["?recipient=copy@x.example", ["late", "early"]],
    ["?recipient=copy", []],
    ["?fromemail=Jane@example.com", ["late"]],
    ["?subject=LAT", ["late"]],
    ["?subject=%25", []],
    ["?mailboxhash=box", ["early"]],
    ["?tag=t", ["late"]],
    ["?fromdate=2026-02-18", ["late"]],
    ["?todate=2026-02-17", ["early"]],
    ["?count=1&offset=1", ["early"]],
    ["?tag=t&subject=early", []],
  ])("are filtered by %s", async (query, expected) => {
    await take({ subject: "early" });
    await take({
      subject: "late",
      receivedAt: NOON + 86_400_000,
      fromEmail: "jane@example.com",
      originalRecipient: "Other@inbound.example.com",
      mailboxHash: "",
      tag: "t",
    });
    await take({ subject: "spam", status: "blocked" });
    await take({ subject: "theirs", serverId: settings.theirs.serverId });
    expect(await subjects(query)).toEqual(expected);
    const total = query.includes("count=1") ? 2 : expected.length;
    expect((await call("GET", query)).json.TotalCount).toBe(total);
  });

  it("are listed on with a cursor where a page ended", async () => {
    for (const [i, subject] of ["a", "b", "c"].entries()) await take({ subject, receivedAt: NOON + i });
    const first = (await call("GET", "?count=2")).json;
    expect(first.InboundMessages.map((m: { Subject: string }) => m.Subject)).toEqual(["c", "b"]);
    const second = (await call("GET", `?count=2&cursor=${first.NextCursor}`)).json;
    expect(second).toMatchObject({ TotalCount: 3, InboundMessages: [{ Subject: "a" }] });
    expect(second).not.toHaveProperty("NextCursor");
  });

  it.each([
    "count=-1",
    "count=0",
    "count=501",
    "offset=-1",
    "count=500&offset=9501",
    "status=sent",
    "fromdate=yesterday",
    "todate=2026-13-01",
    "cursor=x",
  ])("are not listed by %s", async (query) => {
    expect(await call("GET", `?${query}`)).toMatchObject({
      status: 422,
      code: "700",
      json: { ErrorCode: 700 },
    });
  });
});

describe.each([
  ["bypass", "blocked", "bypassed", "Successfully bypassed message"],
  ["retry", "failed", "retried", "Successfully rescheduled failed message"],
] as const)("%s", (word, from, participle, done) => {
  it(`schedules a message that is ${from}, once`, async () => {
    const id = await take({ status: from, blockedReason: "spam" });
    expect((await call("PUT", `/${id}/${word}`)).json).toEqual({ ErrorCode: 0, Message: `${done}: ${id}.` });
    expect((await call("GET", `/${id}/details`)).json).toMatchObject({
      Status: "Scheduled",
      BlockedReason: "spam",
    });
    expect(await call("PUT", `/${id}/${word}`)).toMatchObject({ status: 422, code: "701" });
  });

  it("tells of it once more, as an event of its own", async () => {
    const id = await take({ status: from, tag: "t" });
    told.length = 0;
    await call("PUT", `/${id}/${word}`);
    const event = { type: "Inbound", messageId: id, serverId: settings.ours.serverId, tag: "t" };
    expect(told).toEqual([expect.objectContaining({ ...event, email: "joe@example.com" })]);
    expect(told[0]?.id).not.toBe(id);
  });

  it("is done at once where no hook waits for it", async () => {
    await settings.db.directory.prepare("UPDATE servers SET inbound_hook_url = ''").run();
    const id = await take({ status: from });
    expect((await call("PUT", `/${id}/${word}`)).status).toBe(200);
    expect((await call("GET", `/${id}/details`)).json.Status).toBe("Processed");
  });

  it("is told by cron when nobody could be told, or the one who was to tell has died, and then no more", async () => {
    const id = await take({ status: from });
    const other = await take({ status: from, serverId: settings.theirs.serverId });
    const askedAt = settings.clock.now;
    isLogAway = true;
    try {
      expect((await call("PUT", `/${id}/${word}`)).status).toBe(200);
      expect((await call("PUT", `/${other}/${word}`, settings.theirs)).status).toBe(200);
    } finally {
      isLogAway = false;
    }
    told.length = 0;
    await sweep();
    expect(told).toEqual([]);
    settings.clock.now += 60_001;
    await sweep();
    await sweep();
    const event = { type: "Inbound", serverId: settings.ours.serverId, messageId: id, at: askedAt };
    expect(told).toHaveLength(2);
    expect(told).toContainEqual(expect.objectContaining(event));
    expect(told).toContainEqual(expect.objectContaining({ messageId: other }));
  });

  it("has the same id when it is told again, and another when it is asked for again", async () => {
    const id = await take({ status: from });
    told.length = 0;
    const archive = settings.db.archive;
    await call("PUT", `/${id}/${word}`);
    // It was told, and whoever told it died before that was remembered.
    await archive.prepare("UPDATE inbound SET untold_since = ?").bind(settings.clock.now).run();
    settings.clock.now += 60_001;
    await sweep();
    await archive.prepare("UPDATE inbound SET status = ?").bind(from).run();
    await call("PUT", `/${id}/${word}`);
    expect(told[1]?.id).toBe(told[0]?.id);
    expect(told[2]?.id).not.toBe(told[0]?.id);
    expect(told).toHaveLength(3);
  });

  it("is found by an index", async () => {
    const { results } = await settings.db.archive
      .prepare(
        "EXPLAIN QUERY PLAN SELECT id FROM inbound WHERE untold_since < ? ORDER BY untold_since LIMIT 9",
      )
      .bind(NOON)
      .all();
    expect(JSON.stringify(results)).toMatch(/USING (?:COVERING )?INDEX inbound_untold/);
    expect(JSON.stringify(results)).not.toContain("TEMP B-TREE");
  });

  it("leaves others as they are", async () => {
    const statuses = (["queued", "scheduled", "processed", "blocked", "failed"] as const).filter(
      (s) => s !== from,
    );
    for (const status of statuses) {
      const id = await take({ status });
      expect(await call("PUT", `/${id}/${word}`)).toEqual({
        status: 422,
        code: "701",
        json: { ErrorCode: 701, Message: `This message was not found or cannot be ${participle}.` },
      });
      expect((await call("GET", `/${id}/details`)).json.Status.toLowerCase()).toBe(status);
    }
  });
});

it.each(["GET /details", "GET /dump", "PUT /bypass", "PUT /retry"])(
  "%s knows no other id, and not another server's",
  async (route) => {
    const [method = "", path = ""] = route.split(" ");
    const status = path === "/retry" ? "failed" : "blocked";
    const id = await take({ status });
    const missing = { status: 422, code: "701", json: { ErrorCode: 701 } };
    for (const other of ["0", "x", "0a129aee-e1cd-480d-b08d-4f48548ff48d", `${id}0`])
      expect(await call(method, `/${other}${path}`)).toMatchObject(missing);
    expect(await call(method, `/${id}${path}`, settings.theirs)).toMatchObject(missing);
    expect((await call("GET", `/${id}/details`)).json.Status.toLowerCase()).toBe(status);
    const none = { accountToken: settings.ours.accountToken };
    expect(await settings.call(method, `/messages/inbound/${id}${path}`, undefined, none)).toMatchObject({
      status: 401,
    });
    expect((await call(method, `/${id}${path}`)).status).toBe(200);
  },
);
