import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeRecords } from "../../src/archive/write.ts";
import { record } from "../../src/track/record.ts";
import { attempt, delivered, hardBounced, idAt, message, NOON, waiting } from "../archive/databases.ts";
import { openReading, type Reading } from "./reading.ts";

let reading: Reading;
beforeAll(async () => {
  reading = await openReading();
});
beforeEach(() => reading.clear());
afterAll(() => reading.db.dispose());

const archive = (...records: ReturnType<typeof message>[]) =>
  record({ ...reading.db, now: () => NOON + 60_000 }, records);
const get = (path: string, token?: string) => reading.call("GET", path, undefined, token);
const RAW = [
  "From: sender@example.com",
  "Subject: Hello",
  "MIME-Version: 1.0",
  'Content-Type: multipart/alternative; boundary="b"',
  "",
  "--b",
  "Content-Type: text/plain; charset=utf-8",
  "",
  "Grüße",
  "--b",
  "Content-Type: text/html; charset=utf-8",
  "",
  "<p>Grüße</p>",
  "--b--",
  "",
].join("\r\n");
const rawBytes = new TextEncoder().encode(RAW);

describe("GET /messages/outbound", () => {
  it("shows a message with every field", async () => {
    const full = message([delivered("a@x.example"), delivered("c@x.example"), delivered("d@x.example")], {
      tag: "welcome",
      summary: {
        from: { email: "joe@example.com", name: 'Joe "J" \\ Doe' },
        to: [{ email: "A@x.example", name: "Anna" }],
        cc: [{ email: "c@x.example", name: "" }],
        bcc: [{ email: "d@x.example", name: "" }],
        attachments: ["a.pdf"],
        metadata: { color: "blue" },
        trackOpens: true,
        trackLinks: "HtmlOnly",
        sandboxed: true,
      },
    });
    await archive(full);
    expect(await get("/messages/outbound?count=10&offset=0")).toEqual({
      status: 200,
      code: null,
      json: {
        TotalCount: 1,
        Messages: [
          {
            Tag: "welcome",
            MessageID: full.id,
            MessageStream: "outbound",
            To: [{ Email: "A@x.example", Name: "Anna" }],
            Cc: [{ Email: "c@x.example", Name: "" }],
            Bcc: [{ Email: "d@x.example", Name: "" }],
            Recipients: ["a@x.example", "c@x.example", "d@x.example"],
            ReceivedAt: "2026-02-17T07:00:00.0000000-05:00",
            From: '"Joe \\"J\\" \\\\ Doe" <joe@example.com>',
            Subject: "Hello",
            Attachments: ["a.pdf"],
            Status: "Sent",
            TrackOpens: true,
            TrackLinks: "HtmlOnly",
            Metadata: { color: "blue" },
            Sandboxed: true,
          },
        ],
      },
    });
  });

  it("leaves out the tag of a message that has none, and shows a bare author as an address", async () => {
    await archive(message([waiting("a@x.example")]));
    const { Messages } = (await get("/messages/outbound")).json;
    expect(Messages[0]).not.toHaveProperty("Tag");
    expect(Messages[0]).toMatchObject({ From: "sender@example.com", Status: "Queued", Cc: [], Metadata: {} });
  });

  it("is an empty list when there is none", async () => {
    expect((await get("/messages/outbound")).json).toEqual({ TotalCount: 0, Messages: [] });
  });

  it("shows what only an Outbox has, and each once when the archive has it too", async () => {
    const serverId = reading.serverId;
    const both = message([waiting("a@x.example")], { serverId });
    const fresh = message([waiting("a@x.example")], { serverId, receivedAt: NOON + 1 });
    await archive(both);
    reading.held.set(fresh.id, { record: fresh });
    reading.held.set(both.id, { record: { ...both, recipients: [delivered("a@x.example")] } });
    const { json } = await get("/messages/outbound");
    expect(json.TotalCount).toBe(2);
    expect(json.Messages.map((m: { MessageID: string; Status: string }) => [m.MessageID, m.Status])).toEqual([
      [fresh.id, "Queued"],
      [both.id, "Sent"],
    ]);
  });

  const at = (hour: number) => Date.UTC(2026, 1, 17, hour);
  it.each<[string, string[]]>([
    ["", ["late", "early"]],
    ["?messageStream=news", ["news"]],
    ["?message_stream=news", ["news"]],
    ["?recipient=B@X.example", ["late"]],
    ["?FromEmail=Other@Example.com", ["late"]],
    ["?tag=t", ["early"]],
    ["?tag=", ["late", "early"]],
    ["?status=queued", ["late"]],
    ["?status=Sent", ["early"]],
    ["?status=processed", ["early"]],
    ["?subject=second+one", ["late"]],
    ["?metadata_Color=blue", ["early"]],
    ["?metadata_color=blue", []],
    ["?fromdate=2026-02-17", ["late"]],
    ["?todate=2026-02-16", ["early"]],
    ["?fromdate=2026-02-16&todate=2026-2-17", ["late", "early"]],
    ["?fromdate=2026-02-17T05:00:00Z&todate=2026-02-17T05:00:00.000Z", ["late"]],
    ["?count=1", ["late"]],
    ["?count=1&offset=1", ["early"]],
  ])("filters by %s", async (query, subjects) => {
    const from = { email: "other@example.com", name: "" };
    await archive(
      message([delivered("a@x.example")], {
        subject: "early",
        tag: "t",
        // A millisecond before midnight in the East.
        receivedAt: at(5) - 1,
        summary: { metadata: { Color: "blue" } },
      }),
      message([waiting("b@x.example")], { subject: "Second One late", receivedAt: at(5), summary: { from } }),
      message([waiting("b@x.example")], { subject: "news", stream: "news" }),
    );
    const { json } = await get(`/messages/outbound${query}`);
    expect(json.Messages.map((m: { Subject: string }) => m.Subject.split(" ").at(-1))).toEqual(subjects);
    if (!query.includes("count")) expect(json.TotalCount).toBe(subjects.length);
  });

  it.each([
    "count=-1",
    "count=0",
    "count=501",
    "count=ten",
    "offset=-1",
    "offset=x",
    "count=500&offset=9501",
    "status=bounced",
    "fromdate=yesterday",
    "todate=2026-02-31",
    "metadata_a=1&metadata_b=2",
  ])("refuses %s with 700", async (query) => {
    expect(await get(`/messages/outbound?${query}`)).toMatchObject({
      status: 422,
      code: "700",
      json: { ErrorCode: 700, Message: expect.stringMatching(/\.$/) },
    });
  });

  it("goes on behind a page by its cursor, and each message comes once, though it was archived in between", async () => {
    const { serverId } = reading;
    const made = Array.from({ length: 7 }, (_, i) =>
      message([waiting("a@x.example")], { serverId, receivedAt: NOON + i, subject: `n${i}` }),
    );
    await archive(...made.slice(0, 3));
    for (const record of made.slice(3)) reading.held.set(record.id, { record });
    const seen: string[] = [];
    let next = "";
    for (let pages = 0; pages < 4; pages++) {
      const { json } = await get(`/messages/outbound?count=2${next && `&offset=9999&cursor=${next}`}`);
      expect(json.TotalCount).toBe(7);
      seen.push(...json.Messages.map((m: { Subject: string }) => m.Subject));
      next = json.NextCursor ?? "";
      await archive(...made);
      reading.held.clear();
    }
    expect(next).toBe("");
    expect(seen).toEqual(["n6", "n5", "n4", "n3", "n2", "n1", "n0"]);
  });

  it.each([
    "x",
    "e30",
    Buffer.from('["1e3","a"]').toString("base64url"),
    Buffer.from('["99999999999999999999","a"]').toString("base64url"),
    Buffer.from('[1,"a"]').toString("base64url"),
  ])("refuses the cursor %s, which it never gave", async (cursor) => {
    expect(await get(`/messages/outbound?cursor=${cursor}`)).toMatchObject({ status: 422, code: "700" });
  });

  it("answers for paths in any case and with a slash", async () => {
    expect((await get("/Messages/Outbound/?Count=1")).status).toBe(200);
  });

  it("says 503 with code 100 when the archive is away, or the Outboxes, and logs why", async () => {
    for (const part of ["archive", "outboxes"] as const) {
      await reading.clear();
      reading.away[part] = true;
      expect(await get("/messages/outbound")).toMatchObject({
        status: 503,
        code: "100",
        json: { ErrorCode: 100, Message: expect.stringContaining("archive cannot be read") },
      });
      expect(reading.logged[0]).toMatchObject({
        event: "request failed",
        cause: expect.stringContaining("away"),
      });
    }
  });
});

describe("tokens", () => {
  it.each([
    ["GET", "/messages/outbound"],
    ["GET", `/messages/outbound/${idAt(NOON)}/details`],
    ["GET", `/messages/outbound/${idAt(NOON)}/dump`],
    ["GET", `/messages/outbound/${idAt(NOON)}/timeline`],
    ["GET", "/deliverystats"],
    ["GET", "/bounces"],
    ["GET", "/bounces/tags"],
    ["GET", "/bounces/1"],
    ["GET", "/bounces/1/dump"],
    ["PUT", "/bounces/1/activate"],
    ["GET", "/message-streams/outbound/suppressions/dump"],
    ["POST", "/message-streams/outbound/suppressions"],
    ["POST", "/message-streams/outbound/suppressions/delete"],
  ])("%s %s answers 401 and code 10 without a valid one", async (method, path) => {
    for (const token of ["", "00000001-0000-8000-8000-000000000000", "POSTMARK_API_TEST"])
      expect(await reading.call(method, path, undefined, token)).toMatchObject({
        status: 401,
        code: "10",
        json: { ErrorCode: 10, Message: expect.stringMatching(/valid.*token/i) },
      });
    const upper = await reading.call(method, path, undefined, reading.token.toUpperCase());
    expect(upper.status).not.toBe(401);
  });
});

describe("GET /messages/outbound/:id/details", () => {
  const segment = { key: "1/a", offset: 3, length: rawBytes.length };
  const putObject = () => reading.objects.set("1/a", new Uint8Array([1, 2, 3, ...rawBytes, 9]));

  it("shows the archive's message with its texts, its source and what happened", async () => {
    putObject();
    const deferred = attempt(1, {
      result: "deferred",
      reply: { code: 451, enhanced: "4.7.1", text: "greylisted" },
      at: NOON + 500,
    });
    const late = { ...delivered("a@x.example"), attempts: [deferred, attempt(2)], at: NOON + 2_000 };
    const one = message([late, hardBounced("b@x.example")], { segment });
    await archive(one);
    const { json } = await get(
      `/messages/outbound/${one.id.toUpperCase()}/details?includeMessageContent=Full`,
    );
    expect(json).toMatchObject({ MessageID: one.id, Status: "Sent", Body: RAW });
    expect(json.TextBody.trim()).toBe("Grüße");
    expect(json.HtmlBody.trim()).toBe("<p>Grüße</p>");
    const { results } = await reading.db.archive.prepare("SELECT id FROM bounces").all();
    const hop = { DestinationServer: "mx.example (192.0.2.1)", DestinationIP: "192.0.2.1" };
    expect(json.MessageEvents).toEqual([
      {
        Recipient: "a@x.example",
        Type: "Transient",
        ReceivedAt: "2026-02-17T07:00:00.5000000-05:00",
        Details: { DeliveryMessage: "smtp;451 4.7.1 greylisted", ...hop },
      },
      {
        Recipient: "b@x.example",
        Type: "Bounced",
        ReceivedAt: "2026-02-17T07:00:01.0000000-05:00",
        Details: { Summary: "smtp;550 5.1.1 no such user", BounceID: String(results[0]?.id) },
      },
      {
        Recipient: "a@x.example",
        Type: "Delivered",
        ReceivedAt: "2026-02-17T07:00:02.0000000-05:00",
        Details: { DeliveryMessage: "smtp;250 2.0.0 OK", ...hop },
      },
    ]);
  });

  it("shows what an Outbox holds before what the archive has, with the bytes from either", async () => {
    putObject();
    const { serverId } = reading;
    const old = message([waiting("a@x.example")], { serverId, segment });
    await archive(old);
    const newer = { ...old, recipients: [delivered("a@x.example")] };
    for (const held of [{ record: { ...newer, segment: undefined }, raw: rawBytes }, { record: newer }]) {
      reading.held.set(old.id, held);
      expect((await get(`/messages/outbound/${old.id}/details`)).json).toMatchObject({
        Status: "Sent",
        Body: RAW,
      });
    }
  });

  it("shows of a message whose links differ for each recipient those of the first", async () => {
    const text = (who: string) => `Subject: s\r\n\r\nhttps://x.example/${who}\r\n`;
    const held = Buffer.from(text("{who}"));
    for (const personal of [true, false]) {
      const record = message([delivered("a@x.example")], {
        serverId: reading.serverId,
        summary: personal ? { personal: true } : {},
      });
      reading.held.set(record.id, { record, raw: held });
      const who = personal ? `${record.id}#0` : "{who}";
      const path = `/messages/outbound/${record.id}`;
      expect((await get(`${path}/dump`)).json).toEqual({ Body: text(who) });
      expect((await get(`${path}/details`)).json.TextBody).toContain(who);
    }
  });

  it("tells of opens, clicks and what came back after delivery", async () => {
    const one = message([delivered("a@x.example")], { serverId: reading.serverId });
    await archive(one);
    const { archive: db } = reading.db;
    const reader = JSON.stringify({ client: { name: "Thunderbird" }, os: { name: "Linux" } });
    const values = "(?1, ?2, 'a@x.example'";
    const at = NOON + 5_000;
    await db.batch([
      db
        .prepare(
          `INSERT INTO opens (server_id, message_id, email, at, stream, read_seconds, reader)
           VALUES ${values}, ?3, 'outbound', 3, ?4)`,
        )
        .bind(one.serverId, one.id, at, reader),
      db
        .prepare(
          `INSERT INTO clicks (server_id, message_id, email, at, stream, link, location, reader)
           VALUES ${values}, ?3, 'outbound', 'https://x.example/', 'HTML', ?4)`,
        )
        .bind(one.serverId, one.id, at + 1, reader),
    ]);
    const bounce = {
      ...{ serverId: one.serverId, messageId: one.id, email: "a@x.example", stream: "outbound", tag: "" },
      ...{ fromEmail: "sender@example.com", subject: "Hello", inactive: false },
    };
    await writeRecords(
      db,
      [],
      [
        { ...bounce, type: "SoftBounce", details: "smtp;452 mailbox full", bouncedAt: at + 2 },
        { ...bounce, type: "SpamComplaint", details: "", bouncedAt: at + 3 },
      ],
    );
    const { json } = await get(`/messages/outbound/${one.id}/details`);
    expect(json.MessageEvents.slice(1)).toMatchObject([
      {
        Type: "Opened",
        Recipient: "a@x.example",
        Details: { Summary: "Email opened with Thunderbird on Linux" },
      },
      { Type: "LinkClicked", Details: { Link: "https://x.example/", ClickLocation: "HTML" } },
      {
        Type: "Bounced",
        Details: { Summary: "smtp;452 mailbox full", BounceID: expect.stringMatching(/^\d+$/) },
      },
    ]);
    await db.batch([db.prepare("DELETE FROM opens"), db.prepare("DELETE FROM clicks")]);
  });

  it("says of what expired without any attempt why, as a bounce", async () => {
    const expired = { ...waiting("a@x.example"), state: "expired" as const, reason: "x.example: held" };
    const one = message([expired]);
    await archive(one);
    const { json } = await get(`/messages/outbound/${one.id}/details`);
    expect(json.MessageEvents).toMatchObject([{ Type: "Bounced", Details: { Summary: "x.example: held" } }]);
    expect(json.MessageEvents[0].Details.BounceID).toMatch(/^[1-9]\d*$/);
  });

  it("answers for what an Outbox holds when the archive is away; a bounce has the number 0 then", async () => {
    const held = message([hardBounced("a@x.example")], { serverId: reading.serverId });
    reading.held.set(held.id, { record: held, raw: rawBytes });
    reading.away.archive = true;
    const { status, json } = await get(`/messages/outbound/${held.id}/details`);
    expect(status).toBe(200);
    expect(json.MessageEvents[0].Details.BounceID).toBe("0");
    expect((await get(`/messages/outbound/${held.id}/dump`)).json).toEqual({ Body: RAW });
    expect((await get(`/messages/outbound/${held.id}/timeline`)).status).toBe(200);
  });

  it("answers from the archive when the Outboxes are away", async () => {
    const one = message([delivered("a@x.example")]);
    await archive(one);
    reading.away.outboxes = true;
    expect((await get(`/messages/outbound/${one.id}/details`)).json).toMatchObject({
      Body: "",
      TextBody: "",
    });
  });

  it("shows bytes that are no MIME as they are", async () => {
    const bytes = new Uint8Array([0xff, 0x00, 0x0d, 0x0a]);
    const one = message([delivered("a@x.example")], { serverId: reading.serverId });
    reading.held.set(one.id, { record: one, raw: bytes });
    expect((await get(`/messages/outbound/${one.id}/details`)).json.Body).toBe("\ufffd\0\r\n");
  });

  it.each(["details", "dump", "timeline"])("%s knows no other id: 701", async (what) => {
    const theirs = message([delivered("a@x.example")], { serverId: reading.otherServerId });
    await archive(theirs);
    reading.held.set(theirs.id, { record: theirs });
    for (const id of [theirs.id, idAt(NOON), "0a129aee-e1cd-480d-b08d-4f48548ff48d", "x", "%20"])
      expect(await get(`/messages/outbound/${id}/${what}`)).toEqual({
        status: 422,
        code: "701",
        json: { ErrorCode: 701, Message: "This message was not found." },
      });
    expect((await get(`/messages/outbound/${theirs.id}/${what}`, reading.otherToken)).status).toBe(200);
  });

  it.each(["archive", "outboxes"] as const)("does not say 701 while the %s is away: 503", async (part) => {
    reading.away[part] = true;
    expect(await get(`/messages/outbound/${idAt(NOON)}/details`)).toMatchObject({ status: 503, code: "100" });
  });
});

describe("GET /messages/outbound/:id/dump", () => {
  it("gives the source, or an empty one when nobody has it", async () => {
    const one = message([delivered("a@x.example")], { segment: { key: "gone", offset: 0, length: 5 } });
    await archive(one);
    expect((await get(`/messages/outbound/${one.id}/dump`)).json).toEqual({ Body: "" });
    reading.objects.set("gone", rawBytes.slice(0, 5));
    expect((await get(`/messages/outbound/${one.id}/dump`)).json).toEqual({ Body: "From:" });
  });
});
