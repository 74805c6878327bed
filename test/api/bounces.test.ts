import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RecipientRecord } from "../../src/mail/record.ts";
import { BOUNCE_TYPES } from "../../src/smtp/bounce-types.ts";
import { suppress } from "../../src/suppress/list.ts";
import { record, recordBounces } from "../../src/track/record.ts";
import { attempt, hardBounced, message, NOON } from "../archive/databases.ts";
import { openReading, type Reading } from "./reading.ts";

let reading: Reading;
beforeAll(async () => {
  reading = await openReading();
});
beforeEach(() => reading.clear());
afterAll(() => reading.db.dispose());

const note = (...records: ReturnType<typeof message>[]) =>
  record({ ...reading.db, now: () => NOON + 60_000 }, records);
const get = (path: string, token?: string) => reading.call("GET", path, undefined, token);
const activate = (id: number | string, token?: string) =>
  reading.call("PUT", `/bounces/${id}/activate`, undefined, token);
const bounced = (email: string, bounceType: string, at = NOON): RecipientRecord => {
  const reply = { code: 554, enhanced: "5.7.1", text: "no" };
  return {
    email,
    state: "bounced",
    at,
    attempts: [attempt(1, { result: "bounced", reply, at })],
    bounceType,
  };
};
const only = async () => (await get("/bounces")).json.Bounces[0];
const suppressed = async () =>
  (await reading.db.directory.prepare("SELECT email FROM suppressions WHERE removed_at IS NULL").all())
    .results;

const NOT_FOUND = {
  status: 422,
  code: "1001",
  json: { ErrorCode: 1001, Message: "The bounce you requested was not found." },
};

describe("GET /bounces", () => {
  it("shows a bounce with every field", async () => {
    const one = message([hardBounced("a@x.example")], { tag: "welcome" });
    await note(one);
    const { status, json } = await get("/bounces?count=10&offset=0");
    expect(status).toBe(200);
    expect(json).toEqual({
      TotalCount: 1,
      Bounces: [
        {
          RecordType: "Bounce",
          ID: expect.any(Number),
          Type: "HardBounce",
          TypeCode: 1,
          Name: "Hard bounce",
          Tag: "welcome",
          MessageID: one.id,
          ServerID: 1,
          MessageStream: "outbound",
          Description: "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
          Details: "smtp;550 5.1.1 no such user",
          Email: "a@x.example",
          From: "sender@example.com",
          BouncedAt: "2026-02-17T07:00:01.0000000-05:00",
          DumpAvailable: true,
          Inactive: true,
          CanActivate: true,
          Subject: "Hello",
        },
      ],
    });
  });

  it("leaves out the tag of a message that had none", async () => {
    await note(message([bounced("a@x.example", "Blocked")]));
    expect(await only()).not.toHaveProperty("Tag");
    expect(await only()).toMatchObject({ Type: "Blocked", TypeCode: 100006, Inactive: false });
  });

  it.each<[string, string[]]>([
    ["", ["tagged", "soft", "hard"]],
    ["?messagestream=news", ["news"]],
    ["?type=SoftBounce", ["soft"]],
    ["?type=softbounce", ["soft"]],
    ["?type=Blocked", []],
    ["?inactive=true", ["hard"]],
    ["?inactive=False", ["tagged", "soft"]],
    ["?emailFilter=B@Y.ex", ["soft"]],
    ["?tag=welcome", ["tagged"]],
    ["?fromdate=2026-02-18", ["tagged", "soft"]],
    ["?todate=2026-02-17", ["hard"]],
    ["?count=1&offset=1", ["soft"]],
  ])("filters by %s", async (query, subjects) => {
    const later = NOON + 86_400_000;
    await note(
      message([hardBounced("a@x.example")], { subject: "hard" }),
      message([bounced("b@y.example", "SoftBounce", later)], { subject: "soft" }),
      message([bounced("c@x.example", "DnsError", later)], { subject: "tagged", tag: "welcome" }),
      message([bounced("c@x.example", "DnsError")], { subject: "news", stream: "news" }),
      message([hardBounced("a@x.example")], { subject: "theirs", serverId: reading.otherServerId }),
    );
    const { json } = await get(`/bounces${query}`);
    expect(json.Bounces.map((b: { Subject: string }) => b.Subject)).toEqual(subjects);
    expect(json.TotalCount).toBe(query.includes("count") ? 3 : subjects.length);
  });

  it("goes on with a cursor where a page ended", async () => {
    await note(
      ...["a", "b", "c"].map((name) => message([hardBounced(`${name}@x.example`)], { subject: name })),
    );
    const subjects = ({ Bounces }: { Bounces: { Subject: string }[] }) =>
      Bounces.map((b) => b.Subject).join("");
    const first = (await get("/bounces?count=2")).json;
    expect([subjects(first), first.TotalCount]).toEqual(["cb", 3]);
    await note(message([hardBounced("d@x.example")], { subject: "d" }));
    const second = (await get(`/bounces?count=2&offset=9999&cursor=${first.NextCursor}`)).json;
    expect([subjects(second), second.TotalCount]).toEqual(["a", 4]);
    expect(second).not.toHaveProperty("NextCursor");
  });

  it("filters by message, in any case", async () => {
    const [one, two] = [message([hardBounced("a@x.example")]), message([hardBounced("b@x.example")])];
    await note(one, two);
    const { json } = await get(`/bounces?messageID=${one.id.toUpperCase()}`);
    expect(json).toMatchObject({ TotalCount: 1, Bounces: [{ MessageID: one.id }] });
  });

  it.each([
    "count=-1",
    "count=0",
    "count=501",
    "offset=-1",
    "count=500&offset=9501",
    "type=Nonsense",
    "type=constructor",
    "inactive=perhaps",
    "fromdate=yesterday",
    "todate=2026-13-01",
    "cursor=x",
  ])("refuses %s with 1000", async (query) => {
    expect(await get(`/bounces?${query}`)).toMatchObject({
      status: 422,
      code: "1000",
      json: { ErrorCode: 1000 },
    });
  });
});

describe("GET /bounces/:id", () => {
  it("shows one, with what the other side said as its content and dump", async () => {
    const one = hardBounced("a@x.example");
    const [only1] = one.attempts;
    const rcpt = {
      at: NOON,
      command: "RCPT TO:<a@x.example>",
      reply: { code: 550, enhanced: "5.1.1", text: "no such user" },
    };
    if (only1) only1.transcript = [rcpt];
    await note(message([one]));
    const listed = await only();
    const text = [
      "Recipient: a@x.example",
      "Result: bounced (no such user)",
      "",
      "Attempt 1 at 2026-02-17T12:00:01.000Z by gateway to mx.example (192.0.2.1) with TLSv1.3 TLS_AES_256_GCM_SHA384",
      "> RCPT TO:<a@x.example>",
      "< 550 5.1.1 no such user",
      "bounced: 550 5.1.1 no such user",
      "",
    ].join("\n");
    expect((await get(`/bounces/${listed.ID}`)).json).toEqual({ ...listed, Content: text });
    expect((await get(`/bounces/${listed.ID}/dump`)).json).toEqual({ Body: text });
    expect((await activate(listed.ID)).json.Bounce).toEqual({ ...listed, Inactive: false, Content: text });
  });

  it("has the report that came back as its content and dump, for 30 days and while it is kept", async () => {
    const one = message([hardBounced("a@x.example")]);
    const dump = "dumps/2026-02-17/1/a";
    const report = "Subject: Zur\u00fcck\r\n\r\n550 5.1.1\r\n";
    const bounce = (messageId: string, bouncedAt: number) => ({
      ...{ serverId: 1, messageId, email: "a@x.example", type: "SoftBounce", stream: "outbound", tag: "" },
      ...{ fromEmail: "b@x.example", subject: "s", details: "", bouncedAt, inactive: false, dump },
    });
    const old = bounce(message([]).id, NOON - 31 * 86_400_000);
    await recordBounces({ ...reading.db, now: () => NOON }, [old, bounce(one.id, NOON)]);
    for (const [bytes, text] of [
      [Buffer.from(report), report],
      [Buffer.from(report, "latin1"), report],
      [undefined, ""],
    ] as const) {
      if (bytes) reading.objects.set(dump, bytes);
      else reading.objects.delete(dump);
      const [recent, forgotten] = (await get("/bounces")).json.Bounces;
      expect([recent.DumpAvailable, forgotten.DumpAvailable]).toEqual([true, false]);
      expect((await get(`/bounces/${recent.ID}`)).json.Content).toBe(text);
      expect((await get(`/bounces/${recent.ID}/dump`)).json).toEqual({ Body: text });
      expect((await get(`/bounces/${forgotten.ID}/dump`)).json).toEqual({ Body: "" });
    }
  });

  it("has no dump after 30 days, or when the recipient's story is gone", async () => {
    const DAY_MS = 86_400_000;
    await note(
      message([hardBounced("old@x.example", NOON - 30 * DAY_MS)]),
      message([hardBounced("b@x.example")]),
    );
    await reading.db.archive.prepare("DELETE FROM recipients WHERE email = 'b@x.example'").run();
    const { Bounces } = (await get("/bounces")).json;
    expect(Bounces).toHaveLength(2);
    for (const { ID, DumpAvailable } of Bounces) {
      expect(DumpAvailable).toBe(false);
      expect((await get(`/bounces/${ID}/dump`)).json).toEqual({ Body: "" });
    }
  });

  it.each(["GET /bounces/:id", "GET /bounces/:id/dump", "PUT /bounces/:id/activate"])(
    "%s knows no other id, and not another server's",
    async (route) => {
      await note(message([hardBounced("a@x.example")]));
      const { ID } = await only();
      const [method = "", path = ""] = route.split(" ");
      for (const id of ["0", "999999", "-1", "1.5", "x", "1e3", "99999999999999999999"])
        expect(await reading.call(method, path.replace(":id", id))).toEqual(NOT_FOUND);
      expect(await reading.call(method, path.replace(":id", ID), undefined, reading.otherToken)).toEqual(
        NOT_FOUND,
      );
      expect((await reading.call(method, path.replace(":id", ID))).status).toBe(200);
    },
  );
});

describe("PUT /bounces/:id/activate", () => {
  it("lets the stream mail the address again, and tells the Outboxes", async () => {
    await note(message([hardBounced("a@x.example")]), message([hardBounced("b@x.example")]));
    expect(await suppressed()).toHaveLength(2);
    const { ID, Email } = await only();
    const { status, json } = await reading.call("PUT", `/bounces/${ID}/activate/`, {});
    expect(status).toBe(200);
    expect(json).toMatchObject({
      Message: "OK",
      Bounce: { ID, Inactive: false, CanActivate: true },
    });
    expect(await suppressed()).toHaveLength(1);
    expect(reading.announced).toEqual([{ serverId: 1, stream: "outbound", email: Email, removed: true }]);
    expect((await get(`/bounces/${ID}`)).json.Inactive).toBe(false);
    expect((await get("/bounces?inactive=true")).json.TotalCount).toBe(1);
    expect((await get("/deliverystats")).json.InactiveMails).toBe(1);
  });

  it("answers the second time as the first, and tells nobody", async () => {
    await note(message([hardBounced("a@x.example")]));
    const { ID } = await only();
    const first = await activate(ID);
    expect(await activate(ID)).toEqual(first);
    expect(reading.announced).toHaveLength(1);
  });

  it("of one that left the address active changes nothing", async () => {
    await note(message([bounced("a@x.example", "SoftBounce")]));
    const manual = {
      serverId: 1,
      stream: "outbound",
      email: "a@x.example",
      reason: "ManualSuppression",
      origin: "Customer",
    } as const;
    await suppress(reading.db.directory, [{ ...manual, since: NOON }], NOON);
    expect((await activate((await only()).ID)).status).toBe(200);
    expect(await suppressed()).toHaveLength(1);
    expect(reading.announced).toEqual([]);
  });

  it.each([
    ["SpamComplaint", "Recipient"],
    ["ManualSuppression", "Recipient"],
  ] as const)("is refused with 1003 when %s by the %s came since", async (reason, origin) => {
    await note(message([hardBounced("a@x.example")]));
    const row = { serverId: 1, stream: "outbound", email: "a@x.example", since: NOON, reason, origin };
    await suppress(reading.db.directory, [row], NOON + 9);
    expect(await activate((await only()).ID)).toMatchObject({
      status: 422,
      code: "1003",
      json: { Message: "Due to the type of bounce, this address cannot be reactivated." },
    });
    expect(await suppressed()).toHaveLength(1);
  });

  it("is refused with 1003 for a complaint", async () => {
    await note(message([bounced("a@x.example", "SpamComplaint")]));
    const { ID, CanActivate } = await only();
    expect(CanActivate).toBe(false);
    expect(await activate(ID)).toMatchObject({ status: 422, code: "1003" });
  });

  it("changes nothing while the directory is away: 503", async () => {
    await note(message([hardBounced("a@x.example")]));
    const { ID } = await only();
    reading.away.directory = true;
    expect(await activate(ID)).toMatchObject({ status: 503, code: "100" });
    expect((await only()).Inactive).toBe(true);
  });

  it("stands when the Outboxes cannot be told, since they read it in the directory", async () => {
    await note(message([hardBounced("a@x.example")]));
    const { ID } = await only();
    reading.away.outboxes = true;
    expect((await activate(ID)).status).toBe(200);
    expect(await suppressed()).toEqual([]);
  });
});

describe("GET /deliverystats", () => {
  it("counts bounces by type, in the order of their numbers", async () => {
    await note(
      message([bounced("c@x.example", "SoftBounce"), hardBounced("a@x.example"), hardBounced("b@x.example")]),
    );
    await note(message([hardBounced("a@x.example")], { serverId: reading.otherServerId }));
    expect((await get("/deliveryStats/")).json).toEqual({
      InactiveMails: 2,
      Bounces: [
        { Name: "All", Count: 3 },
        { Type: "HardBounce", TypeCode: 1, Name: "Hard bounce", Count: 2 },
        { Type: "SoftBounce", TypeCode: 4096, Name: "Soft bounce", Count: 1 },
      ],
    });
  });

  it("is zero when there is none", async () => {
    expect((await get("/deliverystats")).json).toEqual({
      InactiveMails: 0,
      Bounces: [{ Name: "All", Count: 0 }],
    });
  });
});

describe("GET /bounces/tags", () => {
  it("lists each tag once", async () => {
    expect((await get("/bounces/tags")).json).toEqual([]);
    await note(
      message([bounced("a@x.example", "Blocked")], { tag: "b" }),
      message([bounced("a@x.example", "Blocked")], { tag: "a" }),
      message([bounced("a@x.example", "Blocked")], { tag: "a" }),
    );
    expect((await get("/bounces/Tags")).json).toEqual(["a", "b"]);
  });
});

it.each(["/bounces", "/bounces/1", "/bounces/1/dump", "/bounces/tags", "/deliverystats"])(
  "%s answers 503 with code 100 when the archive is away",
  async (path) => {
    reading.away.archive = true;
    expect(await get(path)).toMatchObject({ status: 503, code: "100", json: { ErrorCode: 100 } });
  },
);

it("has a number of its own for every type", () => {
  const codes = Object.values(BOUNCE_TYPES).map((t) => t.code);
  expect(new Set(codes).size).toBe(22);
});
