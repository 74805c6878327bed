/** Answers to what a running system sent reach its server's inbound hook, at the sink of the local world. */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

const PYTHON = "/usr/bin/python3";
const hasAnymail = spawnSync(PYTHON, ["-c", "import django, anymail"]).status === 0;
const VIEW = resolve(import.meta.dirname, "../clients/anymail-inbound.py");
const REPLY = "Thank you, that works for me.";

let system: System;
beforeAll(async () => {
  system = await System.start();
  const settings = { InboundHookUrl: sink("inbound"), RawEmailEnabled: true };
  expect((await system.api("PUT", "/server", settings)).status).toBe(200);
}, 100_000);
afterAll(() => system.remove());

const sink = (name: string) => `${system.local.world.http}/sink/${name}`;

async function bodies(name: string): Promise<string[]> {
  const { requests } = (await (await fetch(sink(name))).json()) as { requests: { body: string }[] };
  return requests.map(({ body }) => body);
}

/** Somebody answers a message of ours, to this hash; the id of what was filed. */
async function answered(from: string, hash: string): Promise<string> {
  const ReplyTo = system.local.inboundAddress.replace("@", `+${hash}@`);
  const message = {
    From: "sender@example.com",
    To: from,
    ReplyTo,
    Subject: hash,
    TextBody: "Shall we meet?",
  };
  expect((await system.api("POST", "/email", message)).status).toBe(200);
  let id = "";
  await until(
    "the answer is filed",
    async () => {
      for (const status of ["queued", "scheduled", "processed", "blocked", "failed"]) {
        const query = `count=1&offset=0&status=${status}&mailboxhash=${hash}`;
        const { json } = await system.api("GET", `/messages/inbound?${query}`);
        const [found] = json.InboundMessages as { MessageID: string }[];
        if (found) id = found.MessageID;
      }
      return id !== "";
    },
    30_000,
  );
  return id;
}

const statusOf = async (id: string) =>
  String((await system.api("GET", `/messages/inbound/${id}/details`)).json.Status);
const isOver = (id: string, status: string) =>
  until(`it is ${status}`, async () => (await statusOf(id)) === status, 30_000);

/** The payloads that a hook was sent of one message. */
async function payloads(id: string): Promise<Record<string, unknown>[]> {
  const all = (await bodies("inbound")).map((body) => JSON.parse(body) as Record<string, unknown>);
  return all.filter((payload) => payload.MessageID === id);
}

describe("the inbound hook", () => {
  it("is sent an answer with all that is known of it, and then it is processed", async () => {
    const from = "reply@person.example";
    const id = await answered(from, "ticket-7");
    await isOver(id, "Processed");
    const [payload, ...others] = await payloads(id);
    expect(others).toEqual([]);
    const address = system.local.inboundAddress.replace("@", "+ticket-7@");
    expect(payload).toMatchObject({
      ...{ MessageStream: "inbound", From: from, FromName: "", Subject: "Re: ticket-7", Tag: "" },
      FromFull: { Email: from, Name: "", MailboxHash: "" },
      ...{ To: address, ToFull: [{ Email: address, Name: "", MailboxHash: "ticket-7" }] },
      ...{ Cc: "", CcFull: [], Bcc: "", BccFull: [], OriginalRecipient: address, MailboxHash: "ticket-7" },
      ...{ ReplyTo: "", HtmlBody: "", StrippedTextReply: REPLY, Attachments: [] },
      TextBody: expect.stringContaining("> Shall we meet?"),
      Date: expect.stringMatching(/\d{4} \d\d:\d\d:\d\d/),
      RawEmail: expect.stringContaining(`\n\n${REPLY}\n`),
    });
    expect(payload).not.toHaveProperty("RecordType");
    const headers = payload?.Headers as { Name: string; Value: string }[];
    const names = headers.map((h) => h.Name);
    expect(names.slice(0, 2)).toEqual(["Return-Path", "Received"]);
    expect(names).toEqual(
      expect.arrayContaining(["Received-SPF", "Authentication-Results", "Message-ID", "In-Reply-To"]),
    );
    const results = headers.find((h) => h.Name === "Authentication-Results")?.Value;
    expect(results).toMatch(/; dkim=\w+ .*; spf=(?!temperror)\w+ .*; dmarc=(?!temperror)\w+/);
  }, 90_000);

  it.runIf(hasAnymail)(
    "understands by Anymail what it was sent",
    async () => {
      const id = await answered("reply@django.example", "django");
      await isOver(id, "Processed");
      const [payload] = await payloads(id);
      const { stdout, stderr } = spawnSync(PYTHON, [VIEW], {
        input: JSON.stringify(payload),
        encoding: "utf8",
      });
      expect(stderr).toBe("");
      expect(JSON.parse(stdout)).toMatchObject({
        status: 200,
        seen: [
          { esp: "Postmark", id, from: ["", "reply@django.example"], stripped: REPLY, subject: "Re: django" },
        ],
      });
    },
    90_000,
  );

  it("is sent blocked mail once it is let through, and not before", async () => {
    const rule = await system.api("POST", "/triggers/inboundrules", { Rule: "blocked.example" });
    expect(rule.status).toBe(200);
    const id = await answered("reply@blocked.example", "blocked");
    expect(await statusOf(id)).toBe("Blocked");
    // Another that came later is through: what was to be sent of the first would have been.
    await isOver(await answered("reply@fine.example", "fine"), "Processed");
    expect(await payloads(id)).toEqual([]);
    expect((await system.api("PUT", `/messages/inbound/${id}/bypass`)).status).toBe(200);
    await isOver(id, "Processed");
    expect(await payloads(id)).toMatchObject([{ From: "reply@blocked.example", MailboxHash: "blocked" }]);
  }, 120_000);

  it("that refuses a message fails it, and gets it again when that is asked for", async () => {
    await fetch(sink("inbound"), { method: "PUT", body: JSON.stringify({ status: 403, times: 1 }) });
    const id = await answered("reply@refused.example", "refused");
    await isOver(id, "Failed");
    expect((await system.api("PUT", `/messages/inbound/${id}/retry`)).status).toBe(200);
    await isOver(id, "Processed");
    expect(await payloads(id)).toHaveLength(2);
  }, 120_000);
});
