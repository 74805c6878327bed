/** What a gateway hands over, against the real Worker: submissions by SMTP from their headers to the inbox, and their refusals. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { authenticate } from "mailauth";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Worker } from "../../src/gateway/worker.ts";
import { encodeFrame } from "../../src/mail/frame.ts";
import type {
  AuthAnswer,
  Batch,
  BatchResult,
  EnvelopeRecipient,
  OwnDomains,
} from "../../src/mail/ingress.ts";
import { formatMessageId } from "../../src/mail/message-id.ts";
import { type InboxMessage, System, until } from "./system.ts";

let system: System;
let worker: Worker;

beforeAll(async () => {
  system = await System.start();
  const { gateway } = JSON.parse(readFileSync(join(system.home, "secrets.json"), "utf8")) as {
    gateway: string;
  };
  worker = new Worker(system.local.http, gateway);
}, 100_000);
afterAll(async () => {
  worker.close();
  await system.remove();
});

function newId(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return formatMessageId({ acceptedAt: Date.now(), region: "local", number: 0 }, random);
}

interface Given {
  to: (string | EnvelopeRecipient)[];
  raw: string;
  reversePath?: string;
  stream?: string;
  ret?: "FULL" | "HDRS";
  envid?: string;
}

function batchOf(
  given: Given[],
  serverId: number | null = system.local.serverId,
): { batch: Batch; frame: Uint8Array } {
  const bodies = given.map(({ raw }) => Buffer.from(raw, "latin1"));
  const batch: Batch = {
    v: 1,
    key: randomUUID(),
    ...(serverId === null ? {} : { serverId }),
    messages: given.map(({ to, reversePath = "app@example.com", stream, ret, envid }, i) => ({
      messageId: serverId === null ? "" : newId(),
      envelope: {
        reversePath,
        recipients: to.map((t) => (typeof t === "string" ? { address: t } : t)),
        ...(ret ? { ret } : {}),
        ...(envid ? { envid } : {}),
      },
      session: "s1",
      remoteAddress: "192.0.2.1",
      ...(stream ? { stream } : {}),
      length: bodies[i]?.length ?? 0,
    })),
  };
  return { batch, frame: encodeFrame(batch, ...bodies) };
}

async function handOver(frame: Uint8Array): Promise<BatchResult[]> {
  return (await worker.frames("/gateway/ingress", frame, 20_000)) as BatchResult[];
}

async function submit(given: Given): Promise<string> {
  const { batch, frame } = batchOf([given]);
  expect(await handOver(frame)).toEqual([{ key: batch.key, results: [{ accepted: true }] }]);
  return batch.messages[0]?.messageId ?? "";
}

async function bounceOf(messageId: string): Promise<Record<string, unknown>> {
  let found: Record<string, unknown> | undefined;
  await until("the bounce is recorded", async () => {
    const { json } = await system.api("GET", `/bounces?count=10&offset=0&messageID=${messageId}`);
    [found] = json.Bounces as Record<string, unknown>[];
    return found !== undefined;
  });
  return found as Record<string, unknown>;
}

const header = (message: InboxMessage) => message.raw.slice(0, message.raw.indexOf("\r\n\r\n"));
const body = (message: InboxMessage) => message.raw.slice(message.raw.indexOf("\r\n\r\n") + 4);

const CALENDAR = [
  "Received: from app by gateway.example.com with ESMTPSA id s1; Wed, 25 Nov 2026 02:00:00 +0000",
  "From: Ann <sender@example.com>",
  "To: Bob <bob@smtp.example>",
  "Bcc: hidden@smtp.example",
  "Subject: =?iso-8859-1?Q?Caf=E9?=",
  "Message-ID: <mine@app.example>",
  "X-PM-Tag: invite",
  "x-pm-metadata-color: blue",
  "X-PM-Metadata-Color: red",
  "X-PM-TrackOpens: true",
  "X-PM-TrackLinks: HtmlOnly",
  "MIME-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="outer"',
  "",
  "preamble",
  "--outer",
  "Content-Type: multipart/alternative; boundary=inner",
  "",
  "--inner",
  "Content-Type: text/plain; charset=iso-8859-1",
  "Content-Transfer-Encoding: 8bit",
  "",
  "Caf\xe9 at  ten\t",
  "--inner",
  "Content-Type: text/calendar; method=REQUEST",
  "",
  "BEGIN:VCALENDAR",
  "END:VCALENDAR",
  "--inner--",
  "--outer",
  'Content-Type: application/pdf; name="a.pdf"',
  "Content-Disposition: attachment; filename=a.pdf",
  "Content-Transfer-Encoding: base64",
  "",
  "AAECAw==",
  "--outer--",
  "",
].join("\r\n");
const simple = (to: string, more: string[] = []) =>
  ["From: sender@example.com", `To: ${to}`, "Subject: Hi", ...more, "", "Hello.", ""].join("\r\n");

describe("a submission by SMTP", () => {
  it("arrives byte for byte but for the headers that must change, signed", async () => {
    const id = await submit({ to: ["bob@smtp.example", "hidden@smtp.example"], raw: CALENDAR });
    const arrived = await asBytes(await system.arrives("bob@smtp.example"));
    expect(body(arrived)).toBe(CALENDAR.slice(CALENDAR.indexOf("\r\n\r\n") + 4));
    const fields = header(arrived)
      .split(/\r\n(?![ \t])/)
      .map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
    expect(fields.filter((name) => name.startsWith("x-pm-"))).toEqual(["x-pm-message-id"]);
    expect(fields).not.toContain("bcc");
    expect(fields).toContain("date");
    expect(header(arrived)).toContain(`Message-ID: <${id}@example.com>`);
    expect(header(arrived)).not.toContain("mine@app.example");
    const { json } = await system.api("GET", `/messages/outbound/${id}/details`);
    expect(json).toMatchObject({
      MessageID: id,
      Tag: "invite",
      Subject: "Café",
      From: '"Ann" <sender@example.com>',
      Metadata: { color: "blue", Color1: "red" },
      TrackOpens: true,
      TrackLinks: "HtmlOnly",
      Attachments: ["a.pdf"],
      Bcc: [{ Email: "hidden@smtp.example" }],
    });
    expect(await dkimOf(arrived)).toBe("pass");
  });

  it("keeps its Message-ID when it asks for that", async () => {
    await submit({
      to: ["keep@smtp.example"],
      raw: simple("keep@smtp.example", ["Message-ID: <mine@app.example>", "X-PM-KeepID: true"]),
    });
    expect(header(await system.arrives("keep@smtp.example"))).toContain("Message-ID: <mine@app.example>");
  });

  it("is accepted once for its key", async () => {
    const { batch, frame } = batchOf([
      { to: ["once@smtp.example"], raw: simple("once@smtp.example") },
      { to: ["once@smtp.example"], raw: simple("once@smtp.example") },
    ]);
    const answer = [{ key: batch.key, results: [{ accepted: true }, { accepted: true }] }];
    expect(await Promise.all([handOver(frame), handOver(frame)])).toEqual([answer, answer]);
    expect(await handOver(frame)).toEqual(answer);
    await until("both arrived", async () => (await system.inbox({ to: "once@smtp.example" })).length >= 2);
    await until("nothing waits", async () => (await system.ledger()).waiting === 0);
    expect(await system.inbox({ to: "once@smtp.example" })).toHaveLength(2);
  });

  it("goes by the stream of its SMTP token, or of its header", async () => {
    const bound = await submit({ to: ["b1@smtp.example"], raw: simple("b1@x"), stream: "broadcast" });
    const named = await submit({
      to: ["b2@smtp.example"],
      raw: simple("b2@x", ["X-PM-Message-Stream: broadcast"]),
    });
    for (const id of [bound, named])
      expect((await system.api("GET", `/messages/outbound/${id}/details`)).json.MessageStream).toBe(
        "broadcast",
      );
  });
});

describe("a submission that the API would refuse", () => {
  const refused: [string, string, RegExp][] = [
    ["a sender that is not ours", "From: x@elsewhere.example\r\nSubject: s\r\n\r\nt\r\n", /^400 The 'From'/],
    ["no sender at all", "Subject: s\r\n\r\nt\r\n", /^300 Invalid 'From'/],
    ["two senders", "From: sender@example.com\r\nFrom: x@elsewhere.example\r\n\r\nt\r\n", /^300 .*more than/],
    [
      "a stream that does not exist",
      "From: sender@example.com\r\nX-PM-Message-Stream: nope\r\n\r\nt\r\n",
      /^1235 The stream provided: 'nope'/,
    ],
    ["an inbound stream", "From: sender@example.com\r\nX-PM-Message-Stream: inbound\r\n\r\nt\r\n", /^1236 /],
    [
      "metadata that is too long",
      `From: sender@example.com\r\nX-PM-Metadata-a: ${"x".repeat(81)}\r\n\r\nt\r\n`,
      /^300 Invalid metadata/,
    ],
    [
      "a forbidden attachment",
      'From: sender@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; filename="x.exe"\r\n\r\nMZ\r\n--b--\r\n',
      /^411 /,
    ],
    [
      "more parts than mail has",
      `From: sender@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${"--b\r\n\r\n\r\n".repeat(1_500)}--b--\r\n`,
      /^300 .*too many parts/,
    ],
  ];
  it.each(refused)("is an SMTPApiError bounce: %s", async (_, raw, details) => {
    const id = await submit({ to: ["anyone@smtp.example"], raw });
    const bounce = await bounceOf(id);
    expect(bounce).toMatchObject({ Type: "SMTPApiError", Email: "anyone@smtp.example", Inactive: false });
    expect(bounce.Details).toMatch(details);
    expect((await system.ledger()).drift).toBe(0);
  });

  it("is one for each of too many recipients", async () => {
    const to = Array.from({ length: 51 }, (_, i) => `r${i}@many.example`);
    const id = await submit({ to, raw: simple("r0@many.example") });
    expect((await bounceOf(id)).Details).toMatch(/^300 Too many recipients: 51/);
    expect(await system.inbox({ to: "r0@many.example" })).toEqual([]);
  });

  it("is one for the recipients that are suppressed, and the others get it", async () => {
    await system.api("POST", "/message-streams/outbound/suppressions", {
      Suppressions: [{ EmailAddress: "gone@smtp.example" }],
    });
    const id = await submit({ to: ["gone@smtp.example", "here@smtp.example"], raw: simple("here@x") });
    await system.arrives("here@smtp.example");
    expect(await bounceOf(id)).toMatchObject({ Email: "gone@smtp.example", Type: "SMTPApiError" });
    expect((await bounceOf(id)).Details).toMatch(/^406 /);
  });
});

describe("a DSN", () => {
  it("is sent where it was asked for, once for each fate, from the null reverse-path", async () => {
    const notify: EnvelopeRecipient["notify"] = ["SUCCESS", "FAILURE"];
    const id = await submit({
      to: [
        { address: "hard-bounce@dsn.example", notify, orcpt: "rfc822;Original@dsn.example" },
        { address: "fine@dsn.example", notify },
        { address: "hard-bounce2@quiet.example" },
      ],
      raw: simple("fine@dsn.example"),
      reversePath: "asker@back.example",
      ret: "FULL",
      envid: "QQ314+159",
    });
    await until(
      "both reports are there",
      async () => (await system.inbox({ to: "asker@back.example" })).length === 2,
    );
    const reports = await system.inbox({ to: "asker@back.example" });
    expect(reports.map((r) => r.envelope.from)).toEqual(["", ""]);
    const failed = reports.find((r) => r.raw.includes("Action: failed")) as InboxMessage;
    expect(failed.raw).toContain("Original-Envelope-Id: QQ314+2B159\r\n");
    expect(failed.raw).toContain("Original-Recipient: rfc822; Original@dsn.example\r\n");
    expect(failed.raw).toContain("Final-Recipient: rfc822; hard-bounce@dsn.example\r\n");
    expect(failed.raw).toContain("Status: 5.1.1\r\n");
    expect(failed.raw).toMatch(/Diagnostic-Code: smtp; 550 5\.1\.1 /);
    expect(failed.raw).not.toContain("hard-bounce2");
    const parsed = await PostalMime.parse(failed.raw, { forceRfc822Attachments: true });
    expect(parsed.attachments.map((a) => a.mimeType)).toEqual(["message/delivery-status", "message/rfc822"]);
    expect(parsed.text).toContain("hard-bounce@dsn.example: 550 5.1.1");
    const relayed = reports.find((r) => r.raw.includes("Action: relayed")) as InboxMessage;
    expect(relayed.raw).toContain("Final-Recipient: rfc822; fine@dsn.example\r\n");
    expect(relayed.raw).toContain(`X-PM-Message-Id: ${id}`);
    expect(await dkimOf(failed)).toBe("pass");
    expect((await system.ledger()).drift).toBe(0);
  });
});

describe("a login", () => {
  const login = async (user: string, password: string) =>
    (await worker.json(
      "/gateway/authenticate",
      { user, password, remoteAddress: "192.0.2.1" },
      5_000,
    )) as AuthAnswer;

  it("takes a server token as user and password, in any case of its letters", async () => {
    const { serverToken } = system.local;
    const account = { serverId: system.local.serverId, region: "local", shards: 1 };
    expect(await login(serverToken, serverToken)).toEqual({ account });
    expect(await login(serverToken.toUpperCase(), serverToken)).toEqual({ account });
  });

  it("refuses everything else alike", async () => {
    const { serverToken, accountToken } = system.local;
    for (const [user, password] of [
      [serverToken, "wrong"],
      ["wrong", serverToken],
      [accountToken, accountToken],
      ["", ""],
      [serverToken.replace(/.$/, (c) => (c === "0" ? "1" : "0")), serverToken],
    ])
      expect(await login(user ?? "", password ?? "")).toEqual({
        refused: "authentication credentials invalid",
      });
  });

  it("takes an SMTP token, bound to its stream, until it is revoked", async () => {
    const path = "/message-streams/broadcast/smtp-tokens";
    const { status, json: made } = await system.api("POST", path, { Name: "newsletter" });
    expect(status).toBe(200);
    expect(made).toMatchObject({ Name: "newsletter", MessageStream: "broadcast", ID: expect.any(Number) });
    const [user, password] = [String(made.AccessKey), String(made.SecretKey)];
    expect(await login(user, password)).toEqual({
      account: { serverId: system.local.serverId, stream: "broadcast", region: "local", shards: 1 },
    });
    expect(await login(user, user)).toHaveProperty("refused");
    const listed = await system.api("GET", path);
    expect(listed.json).toMatchObject({ TotalCount: 1, SmtpTokens: [{ AccessKey: user }] });
    expect(JSON.stringify(listed.json)).not.toContain(password);
    expect((await system.api("DELETE", `${path}/${made.ID}`)).json).toMatchObject({ ErrorCode: 0 });
    expect(await login(user, password)).toHaveProperty("refused");
    expect((await system.api("DELETE", `${path}/${made.ID}`)).json).toMatchObject({ ErrorCode: 1450 });
  });

  it("says why a stream has no SMTP tokens", async () => {
    const post = async (path: string, body?: unknown) =>
      (await system.api("POST", path, body)).json.ErrorCode;
    expect(await post("/message-streams/inbound/smtp-tokens")).toBe(1457);
    expect(await post("/message-streams/nope/smtp-tokens")).toBe(1226);
    expect(await post("/message-streams/outbound/smtp-tokens", { Name: "x".repeat(101) })).toBe(1451);
    expect(await post("/message-streams/outbound/smtp-tokens", { Name: 7 })).toBe(403);
    expect(await post("/message-streams/outbound/smtp-tokens", [])).toBe(402);
  });
});

describe("inbound mail", () => {
  it("is taken for our own addresses alone", async () => {
    const { inboundAddress } = system.local;
    const domains = (await worker.json("/gateway/domains", undefined, 5_000)) as OwnDomains;
    expect(domains).toEqual({
      inbound: ["inbound.example.com", "dmarc.example.com"],
      returnPath: ["bounces.example.com"],
    });
    await submit({ to: ["path@smtp.example"], raw: simple("path@smtp.example") });
    const returnPath = (await system.arrives("path@smtp.example")).envelope.from;
    const asked = {
      addresses: [
        inboundAddress,
        inboundAddress.replace("@", "+ticket-7@"),
        "nobody@inbound.example.com",
        returnPath,
        returnPath.replace(/.(?=@)/, (c) => (c === "0" ? "1" : "0")),
        "postmaster@bounces.example.com",
      ],
    };
    expect(await worker.json("/gateway/recipients", asked, 5_000)).toEqual({
      known: [true, true, false, true, false, false],
    });
    const { batch, frame } = batchOf([{ to: [inboundAddress], raw: simple(inboundAddress) }], null);
    expect(await handOver(frame)).toEqual([{ key: batch.key, results: [{ accepted: true }] }]);
  });
});

describe("a mail server that bounces later", () => {
  it("is let in without AUTH, by the return path that the message had", async () => {
    await submit({ to: ["late-bounce@smtp.example"], raw: simple("late-bounce@smtp.example") });
    await until("its DSN is received", async () => {
      const metrics = await (await fetch(`${system.local.gateway.http}/metrics`)).text();
      return /^edgepost_door_messages_total\{result="received"\} 1$/m.test(metrics);
    });
  });
});

describe("a gateway that is none", () => {
  it("is told nothing", async () => {
    const stranger = new Worker(system.local.http, "not the secret at all");
    for (const ask of [
      () => stranger.json("/gateway/domains", undefined, 5_000),
      () => stranger.json("/gateway/authenticate", {}, 5_000),
      () => stranger.frames("/gateway/ingress", batchOf([]).frame, 5_000),
    ])
      await expect(ask()).rejects.toThrow("401");
    stranger.close();
  });

  it("has malformed frames refused, and a server that does not exist", async () => {
    await expect(worker.frames("/gateway/ingress", Buffer.from("nonsense"), 5_000)).rejects.toThrow("400");
    const cut = batchOf([{ to: ["a@b.example"], raw: "x" }]).frame.subarray(0, -1);
    await expect(worker.frames("/gateway/ingress", cut, 5_000)).rejects.toThrow("400");
    const good = batchOf([{ to: ["beside@b.example"], raw: simple("beside@b.example") }]);
    const odd = encodeFrame({ ...good.batch, v: 2, key: "odd" }, new Uint8Array(3));
    expect(await handOver(Buffer.concat([odd, good.frame]))).toEqual([
      { key: "odd" },
      { key: good.batch.key, results: [{ accepted: true }] },
    ]);
    // One message that is not understood is refused alone, at every repeat.
    const mixed = batchOf([
      { to: ["x".repeat(400)], raw: simple("x@b.example") },
      { to: ["beside2@b.example"], raw: simple("beside2@b.example") },
    ]);
    const refused = { accepted: false, reply: expect.objectContaining({ code: 554, enhanced: "5.6.0" }) };
    const answer = [{ key: mixed.batch.key, results: [refused, { accepted: true }] }];
    expect(await handOver(mixed.frame)).toEqual(answer);
    expect(await handOver(mixed.frame)).toEqual(answer);
    await system.arrives("beside2@b.example");
    expect(await system.inbox({ to: "beside2@b.example" })).toHaveLength(1);
    const { batch, frame } = batchOf([{ to: ["a@b.example"], raw: simple("a@b.example") }], 99);
    expect(await handOver(frame)).toEqual([
      {
        key: batch.key,
        results: [{ accepted: false, reply: expect.objectContaining({ code: 550, enhanced: "5.7.1" }) }],
      },
    ]);
  });
});

/** The inbox shows UTF-8; this has a character for each byte. */
async function asBytes(message: InboxMessage): Promise<InboxMessage> {
  const response = await fetch(`${system.local.world.http}/inbox/${message.id}/raw`);
  return { ...message, raw: Buffer.from(await response.arrayBuffer()).toString("latin1") };
}

/** DKIM as mailauth judges it, with the local world's DNS. */
async function dkimOf(message: InboxMessage): Promise<string> {
  const resolver = async (name: string, type: string) => {
    const response = await fetch(`${system.local.world.http}/dns-query?name=${name}&type=${type}`, {
      headers: { accept: "application/dns-json" },
    });
    const { Answer = [] } = (await response.json()) as { Answer?: { data: string }[] };
    return Answer.map(({ data }) => [data.replace(/^"|"$/g, "").replace(/"\s*"/g, "")]);
  };
  const { dkim } = await authenticate(Buffer.from(message.raw, "latin1"), {
    trustReceived: false,
    ip: "127.0.0.1",
    helo: "x",
    sender: message.envelope.from,
    resolver: resolver as never,
  });
  const results = dkim?.results.map((r) => r.status.result) ?? [];
  return results.length > 0 && results.every((r) => r === "pass") ? "pass" : JSON.stringify(results);
}
