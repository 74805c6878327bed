/** A received message, to its objects, its row and its event, in workerd with real R2 and D1; and killed at each of its steps. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createInboundRule } from "../../../src/accounts/inbound-rules.ts";
import {
  findInbound,
  type InboundMessage,
  type InboundStatus,
  listInbound,
} from "../../../src/archive/inbound.ts";
import { NOON } from "../../archive/databases.ts";
import { InboundWorld, type Payload, receivedFor } from "./world.ts";

let world: InboundWorld;
let archive: D1Database;
let bucket: R2Bucket;

beforeAll(async () => {
  world = await InboundWorld.start();
  archive = await world.archive();
  bucket = await world.bucket();
});
beforeEach(async () => {
  world.zone.clear();
  world.zone.set("TXT far.example", [`"v=spf1 ip4:192.0.2.7 -all"`]);
  await archive.prepare("DELETE FROM inbound").run();
  for (const key of await keys()) await bucket.delete(key);
});
afterAll(() => world.stop());

const FILE = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7) & 255));

/** A person's answer with a file. */
function reply(recipient: string, more: string[] = []): Buffer {
  return Buffer.from(
    [
      ...more,
      "Received: from mx.far.example (mx.far.example [192.0.2.7])",
      "\tby gate.mail.example; Tue, 17 Feb 2026 12:00:00 +0000",
      "From: Ann <ann@far.example>",
      `To: Shop <${recipient}>, bob@far.example`,
      "Subject: Re: Your order",
      "In-Reply-To: <a@b>",
      "X-PM-Tag: orders",
      "MIME-Version: 1.0",
      "Content-Type: multipart/mixed; boundary=b",
      "",
      "--b",
      "",
      "Thanks!",
      "",
      "On Mon, 1 Jan 2026, Shop wrote:",
      "> Hello",
      "--b",
      "Content-Type: application/pdf; name=a.pdf",
      "Content-Transfer-Encoding: base64",
      "",
      FILE.toString("base64").replace(/.{76}/g, "$&\r\n"),
      "--b--",
      "",
    ].join("\r\n"),
  );
}

async function keys(): Promise<string[]> {
  const { objects } = await bucket.list();
  return objects.map((o) => o.key).sort();
}

async function rows(serverId: number): Promise<InboundMessage[]> {
  const statuses: InboundStatus[] = ["processed", "queued", "blocked", "scheduled", "failed"];
  const lists = await Promise.all(
    statuses.map((status) =>
      listInbound(archive, serverId, { filter: { status }, page: { count: 100, offset: 0 } }),
    ),
  );
  const found = await Promise.all(
    lists.flatMap((l) => l.messages).map(({ id }) => findInbound(archive, serverId, id)),
  );
  return found.filter((row) => row !== undefined);
}

async function onlyRow(serverId: number): Promise<InboundMessage> {
  const [row, ...others] = await rows(serverId);
  expect(others).toEqual([]);
  if (!row) throw new Error("nothing was filed");
  return row;
}

async function payloadOf(row: InboundMessage): Promise<Payload> {
  const object = await bucket.get(row.payload);
  if (!object) throw new Error("there is no payload");
  return (await object.json()) as Payload;
}

function headerOf(payload: Payload, name: string): string | undefined {
  return payload.Headers.find((h) => h.Name.toLowerCase() === name.toLowerCase())?.Value;
}

describe("takeInbound", () => {
  it("files a reply once, with its attachment byte for byte, its raw bytes, and what is said of it", async () => {
    const { id, recipient } = await world.newServer({ rawEmailEnabled: true });
    const raw = reply(recipient);
    const first = await world.take(raw, { recipient });
    const again = await world.take(raw, { recipient });
    expect([first.error, again.error, first.logged]).toEqual([undefined, undefined, []]);
    const row = await onlyRow(id);
    expect(row).toMatchObject({
      ...{ status: "processed", fromEmail: "ann@far.example", originalRecipient: recipient },
      ...{ mailboxHash: "Ticket-7", tag: "orders", subject: "Re: Your order", receivedAt: NOON },
      ...{ blockedReason: null, raw: `inbound/${id}/${row.id}.eml`, payload: `inbound/${id}/${row.id}.json` },
    });
    const event = {
      id: row.id,
      type: "Inbound",
      messageId: row.id,
      stream: "inbound",
      email: "ann@far.example",
    };
    for (const { told } of [first, again])
      expect(told).toEqual([{ serverId: id, events: [expect.objectContaining(event)] }]);
    expect(
      Buffer.from((await (await bucket.get(row.raw))?.arrayBuffer()) ?? new ArrayBuffer()).equals(raw),
    ).toBe(true);
    const payload = await payloadOf(row);
    expect(payload).toMatchObject({
      ...{ From: "ann@far.example", FromName: "Ann", MessageID: row.id, MessageStream: "inbound" },
      FromFull: { Email: "ann@far.example", Name: "Ann", MailboxHash: "" },
      To: `"Shop" <${recipient}>, bob@far.example`,
      ToFull: [
        { Email: recipient, Name: "Shop", MailboxHash: "Ticket-7" },
        { Email: "bob@far.example", Name: "", MailboxHash: "" },
      ],
      ...{ Cc: "", CcFull: [], Bcc: "", BccFull: [], OriginalRecipient: recipient, MailboxHash: "Ticket-7" },
      ...{ StrippedTextReply: "Thanks!", Tag: "orders", Subject: "Re: Your order" },
      RawEmail: raw.toString().replaceAll("\r\n", "\n"),
    });
    const [file] = payload.Attachments;
    expect(file).toMatchObject({ Name: "a.pdf", ContentType: "application/pdf", ContentLength: 20_000 });
    expect(Buffer.from(file?.Content ?? "", "base64").equals(FILE)).toBe(true);
    expect(payload.Headers.slice(0, 2).map((h) => h.Name)).toEqual(["Return-Path", "Received"]);
    expect(headerOf(payload, "Return-Path")).toBe("<ann@far.example>");
    expect(headerOf(payload, "Received-SPF")).toMatch(/^pass /);
    expect(headerOf(payload, "Authentication-Results")).toMatch(
      /^inbound\.mail\.example; dkim=none .*spf=pass .*dmarc=none/,
    );
  });

  it("waits for the hook where there is one", async () => {
    const { id, recipient } = await world.newServer({ inboundHookUrl: "https://app.example/in" });
    await world.take(reply(recipient), { recipient });
    expect((await onlyRow(id)).status).toBe("queued");
  });

  it("knows a server by its own domain, whatever stands before the @, and nobody by others", async () => {
    const { id } = await world.newServer({ inboundDomain: "in.customer.example" });
    const recipient = "Anybody+Here@In.Customer.Example";
    await world.take(reply(recipient), { recipient });
    expect(await onlyRow(id)).toMatchObject({ originalRecipient: recipient, mailboxHash: "Here" });
    const nobody = await world.take(reply("x@inbound.mail.example"), { recipient: "x@inbound.mail.example" });
    expect(nobody).toMatchObject({ told: [], logged: [{ event: "inbound mail for nobody" }] });
    const directory = await world.directory();
    await directory.prepare("UPDATE servers SET deleted_at = 2 WHERE id = ?").bind(id).run();
    expect((await world.take(reply(recipient), { recipient })).told).toEqual([]);
  });

  it("names our address as Bcc where no field has it, and not when it was forwarded here", async () => {
    const { id, recipient } = await world.newServer();
    await world.take(reply("list@far.example"), { recipient });
    expect(await payloadOf(await onlyRow(id))).toMatchObject({
      Bcc: recipient,
      BccFull: [{ Email: recipient, Name: "", MailboxHash: "Ticket-7" }],
    });
    const other = await world.newServer();
    await world.take(reply("help@customer.example", [`X-Forwarded-To: ${other.recipient}`]), {
      recipient: other.recipient,
    });
    expect(await payloadOf(await onlyRow(other.id))).toMatchObject({ Bcc: "", BccFull: [] });
  });

  it("keeps what the row has no room for in the payload, and says how to read it from there", async () => {
    const { id, recipient } = await world.newServer();
    const text = "€ and more than a row of D1 should hold\r\n".repeat(10_000);
    await world.take(`From: a@b.example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}`, {
      recipient,
    });
    const row = await onlyRow(id);
    expect(row.summary.textBody.length).toBe(100_000);
    const payload = await bucket.get(row.payload, { range: { offset: 0, length: row.summary.whole ?? 0 } });
    const begins = JSON.parse(`${await payload?.text()}}`);
    expect(begins.TextBody.length).toBeGreaterThanOrEqual(400_000);
    expect(begins.Attachments).toBeUndefined();
  });
});

describe("killed at any step, and taken again", () => {
  it.each(["before", "after"])("%s the step: one row, two objects, one event", async (when) => {
    const password = "secret";
    world.scanner = () => Response.json({ score: 1, action: "no action" });
    const { id, recipient } = await world.newServer({ inboundHookUrl: "https://app.example/in" });
    const raw = reply(recipient);
    const whole = await world.take(raw, { recipient, scanner: password });
    const expected = await onlyRow(id);
    expect(whole.error).toBeUndefined();
    for (const port of ["directory", "archive", "scanner", "putObject", "putPieces", "tellEvents"])
      expect(whole.calls).toContain(port);
    for (let stopAt = 1; stopAt <= whole.calls.length; stopAt++) {
      await archive.prepare("DELETE FROM inbound").run();
      for (const key of await keys()) await bucket.delete(key);
      const of = { recipient, scanner: password };
      const stopped = await world.take(raw, { ...of, stopAt, stopAfter: when === "after" });
      // A scanner that is away stops nothing; whatever else fails is to be tried again.
      if (stopped.calls[stopAt - 1] !== "scanner") expect(stopped.error).toBeDefined();
      // Nobody hears of a message whose row is not there, and no row is there whose objects are not.
      const between = await rows(id);
      if (stopped.told.length > 0) expect(between).toHaveLength(1);
      if (between.length > 0) expect(await keys()).toHaveLength(2);
      const again = await world.take(raw, of);
      expect(again.error).toBeUndefined();
      const row = await onlyRow(id);
      expect(row.id).toBe(expected.id);
      expect(await keys()).toEqual([`inbound/${id}/${row.id}.eml`, `inbound/${id}/${row.id}.json`]);
      expect((await payloadOf(row)).Attachments).toHaveLength(1);
      const ids = [...stopped.told, ...again.told].flatMap(({ events }) => events.map((e) => e.id));
      expect(ids.length).toBeGreaterThan(0);
      expect(new Set(ids)).toEqual(new Set([row.id]));
    }
  });

  it("by two at the same time: one row", async () => {
    const { id, recipient } = await world.newServer();
    const both = await Promise.all([1, 2, 3].map(() => world.take(reply(recipient), { recipient })));
    expect(both.map((taken) => taken.error)).toEqual([undefined, undefined, undefined]);
    await onlyRow(id);
    expect(await keys()).toHaveLength(2);
  });

  it("by two of whom one hears that it is spam: who is slower tells what the other filed", async () => {
    const { id, recipient } = await world.newServer({ inboundSpamThreshold: 5 });
    const raw = reply(recipient);
    const of = { recipient, scanner: "secret" };
    let isFirst = true;
    world.scanner = async () => {
      if (!isFirst) return Response.json({ score: 50, action: "reject" });
      isFirst = false;
      expect((await world.take(raw, of)).told).toEqual([]);
      return new Response("", { status: 500 });
    };
    const slower = await world.take(raw, of);
    expect([slower.error, slower.told]).toEqual([undefined, []]);
    expect((await onlyRow(id)).status).toBe("blocked");
  });

  it("does not bring back what was let through since", async () => {
    const { id, recipient } = await world.newServer({ inboundHookUrl: "https://app.example/in" });
    await world.take(reply(recipient), { recipient });
    const { id: messageId } = await onlyRow(id);
    await archive.prepare("UPDATE inbound SET status = 'failed' WHERE id = ?").bind(messageId).run();
    await world.take(reply(recipient), { recipient });
    expect((await onlyRow(id)).status).toBe("failed");
  });
});

describe("blocked mail", () => {
  it.each([
    ["its author", "ann@far.example", "bounce@elsewhere.example"],
    ["its author's domain", "far.example", "bounce@elsewhere.example"],
    ["who sent it", "elsewhere.example", "bounce@elsewhere.example"],
  ])("by a rule for %s is filed with the reason, and nobody hears of it", async (_, rule, reversePath) => {
    const { id, recipient } = await world.newServer();
    await createInboundRule(await world.directory(), id, rule, 1);
    const received = { envelope: { reversePath, recipients: [{ address: recipient }] } };
    const { told } = await world.take(reply(recipient), { recipient, received });
    expect(told).toEqual([]);
    expect(await onlyRow(id)).toMatchObject({
      status: "blocked",
      blockedReason: `Blocked by the inbound rule '${rule}'`,
    });
    expect(await keys()).toHaveLength(2);
    const other = await world.newServer();
    expect(
      (await world.take(reply(other.recipient), { recipient: other.recipient, received })).told,
    ).toHaveLength(1);
  });

  it("that goes round in circles", async () => {
    const { id, recipient } = await world.newServer();
    await world.take(reply(recipient, [`Delivered-To: ${recipient.toUpperCase()}`]), { recipient });
    expect((await onlyRow(id)).blockedReason).toContain("Delivered-To field names this address");
    const other = await world.newServer();
    const hops = Array.from({ length: 51 }, (_, i) => `Received: from h${i}.example by h${i + 1}.example`);
    await world.take(reply(other.recipient, hops), { recipient: other.recipient });
    expect((await onlyRow(other.id)).blockedReason).toContain("more than 50 Received fields");
  });
});

describe("a spam scanner", () => {
  const answer = (score: number) =>
    Response.json(
      {
        score,
        action: score > 6 ? "add header" : "no action",
        symbols: { BAYES_SPAM: { score: 5 }, HTML_ONLY: {} },
      },
      { headers: { Server: "rspamd/3.4" } },
    );

  it("is told of the client and the envelope, and gets the message as it came", async () => {
    const { recipient } = await world.newServer();
    let seen: { url: string; headers: Record<string, string>; body: Buffer } | undefined;
    world.scanner = async (request) => {
      const body = Buffer.from(await request.arrayBuffer());
      seen = { url: request.url, headers: Object.fromEntries(request.headers), body };
      return answer(0);
    };
    const raw = reply(recipient);
    await world.take(raw, { recipient, scanner: "secret" });
    expect(seen?.url).toBe("http://scanner.example:11333/checkv2");
    expect(seen?.headers).toMatchObject({
      ...{
        ip: "192.0.2.7",
        helo: "mx.far.example",
        from: "ann@far.example",
        rcpt: recipient,
        password: "secret",
      },
    });
    expect(seen?.body.equals(raw)).toBe(true);
  });

  it.each([
    [5, 9.5, "blocked"],
    [5, 5, "processed"],
    [5, -1, "processed"],
    [0, 100, "processed"],
  ])("with a threshold of %i and a score of %f: %s", async (inboundSpamThreshold, score, status) => {
    world.scanner = () => answer(score);
    const { id, recipient } = await world.newServer({ inboundSpamThreshold });
    const { told } = await world.take(reply(recipient, ["X-Spam-Score: -100", "X-Spam-Status: No"]), {
      recipient,
      scanner: "",
    });
    const row = await onlyRow(id);
    expect(row.status).toBe(status);
    expect(told).toHaveLength(status === "blocked" ? 0 : 1);
    if (status === "blocked")
      expect(row.blockedReason).toBe("Spam score 9.5 is above the server's threshold of 5");
    // What the sender says of itself is not shown.
    const spam = (await payloadOf(row)).Headers.filter((h) => h.Name.startsWith("X-Spam-"));
    expect(spam.map((h) => [h.Name, h.Value])).toEqual([
      ["X-Spam-Checker-Version", "rspamd/3.4"],
      ["X-Spam-Status", score > 6 ? "Yes" : "No"],
      ["X-Spam-Score", score.toFixed(1)],
      ["X-Spam-Tests", "BAYES_SPAM,HTML_ONLY"],
    ]);
  });

  it.each([
    ["is away", () => new Response("busy", { status: 503 })],
    ["says nothing sensible", () => new Response("<html>")],
    ["says no score", () => Response.json({ action: "reject" })],
    ["says too much", () => new Response("x".repeat(300_000))],
  ])("that %s: the mail is taken unscored, which is logged", async (_, respond) => {
    world.scanner = respond;
    const { id, recipient } = await world.newServer({ inboundSpamThreshold: 1 });
    const { told, logged, error } = await world.take(reply(recipient), { recipient, scanner: "" });
    expect([error, told.length]).toEqual([undefined, 1]);
    expect(logged).toMatchObject([{ event: "spam scanner not heard" }]);
    const payload = await payloadOf(await onlyRow(id));
    expect(payload.Headers.filter((h) => /^x-spam/i.test(h.Name))).toEqual([]);
  });
});

describe("what others say of a message", () => {
  it("is not ours: results in our name go, those of others stay", async () => {
    const { id, recipient } = await world.newServer();
    const forged = [
      "Authentication-Results: inbound.mail.example; dkim=pass header.i=@bank.example",
      "Authentication-Results: INBOUND.Mail.example 1; dmarc=pass header.from=bank.example",
      'Authentication-Results: (for (you) \\)) "inbound.mail.example"; dmarc=pass header.from=bank.example',
      "Authentication-Results: other.example; spf=pass",
      "Received-SPF: pass (forged)",
      "Return-Path: <ceo@bank.example>",
    ];
    await world.take(reply(recipient, forged), { recipient });
    const payload = await payloadOf(await onlyRow(id));
    const of = (name: string) => payload.Headers.filter((h) => h.Name === name).map((h) => h.Value);
    expect(of("Authentication-Results")).toEqual([
      expect.stringMatching(/^inbound\.mail\.example; dkim=none/),
      "other.example; spf=pass",
    ]);
    expect(of("Received-SPF")).toEqual([expect.stringMatching(/^pass \(inbound\.mail\.example:/)]);
    expect(of("Return-Path")).toEqual(["<ann@far.example>"]);
  });

  it("takes the client from the trace where the platform does not say it, and the envelope from what was received", async () => {
    const { id, recipient } = await world.newServer();
    const received = { ...receivedFor(recipient), via: "email-routing" as const, remoteAddress: "" };
    await world.take(reply(recipient), { recipient, received });
    expect(headerOf(await payloadOf(await onlyRow(id)), "Received-SPF")).toMatch(
      /^pass .*client-ip=192\.0\.2\.7/,
    );
  });

  it("of an author who is nobody, the envelope is taken", async () => {
    const { id, recipient } = await world.newServer();
    await world.take("Subject: x\r\n\r\nhello", { recipient });
    expect((await onlyRow(id)).fromEmail).toBe("ann@far.example");
    expect((await payloadOf(await onlyRow(id))).From).toBe("ann@far.example");
  });
});
