/** An application with Postmark's own client: it sends, the mail is in the mailbox, and the client reads how that went. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authenticate } from "mailauth";
import PostalMime from "postal-mime";
import { type Message, type Models, ServerClient } from "postmark";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

/** Its name, by which it knows its own results. */
const RECEIVER = "mx.client.example";

let system: System;
let client: ServerClient;

beforeAll(async () => {
  system = await System.start();
  const { serverToken, http } = system.local;
  client = new ServerClient(serverToken, { requestHost: http.replace("http://", ""), useHttps: false });
}, 100_000);
afterAll(() => system.remove());

function message(to: string, more: Partial<Message> = {}): Message {
  return { From: "sender@example.com", To: to, Subject: "Hello", TextBody: "It works.", ...more } as Message;
}

async function delivered(id: string): Promise<Models.OutboundMessageDetails> {
  let details: Models.OutboundMessageDetails | undefined;
  await until("the message is delivered", async () => {
    details = await client.getOutboundMessageDetails(id);
    return details.MessageEvents.some((e) => e.Type === "Delivered");
  });
  return details as Models.OutboundMessageDetails;
}

describe("the official client", () => {
  it("sends one message and finds it delivered, with the MX's reply", async () => {
    const sent = await client.sendEmail(message("one@client.example", { Tag: "greeting" }));
    expect(sent).toMatchObject({ ErrorCode: 0, Message: "OK", To: "one@client.example" });
    // Readable the moment its 200 is out.
    expect((await client.getOutboundMessageDetails(sent.MessageID)).Subject).toBe("Hello");
    const arrived = await system.arrives("one@client.example");
    expect(arrived.tls).toBe(true);
    const details = await delivered(sent.MessageID);
    const [event] = details.MessageEvents.filter((e) => e.Type === "Delivered");
    expect(event?.Details).toMatchObject({ DeliveryMessage: expect.stringMatching(/^smtp;250 2\./) });
    const listed = await client.getOutboundMessages({ tag: "greeting", count: 10, offset: 0 });
    expect(listed.Messages.map((m) => m.MessageID)).toEqual([sent.MessageID]);
  });

  it("sends 500 in one call, and each arrives once", async () => {
    const batch = Array.from({ length: 500 }, (_, i) =>
      message(`b${i}@batch${i % 5}.example`, { Subject: `n ${i}` }),
    );
    const results = await client.sendEmailBatch(batch);
    expect(results.every((r) => r.ErrorCode === 0)).toBe(true);
    await until("all arrived", async () => (await system.ledger()).waiting === 0, 60_000);
    const inbox = await system.inbox({ limit: "1000" });
    const to = inbox.flatMap((m) => m.envelope.to).filter((a) => a.includes("@batch"));
    expect(to.length).toBe(500);
    expect(new Set(to).size).toBe(500);
    for (const i of [0, 250, 499]) await delivered(results[i]?.MessageID ?? "");
  });

  it("gets the mail to fifty recipients over To, Cc and Bcc, and shows Bcc to nobody", async () => {
    const list = (kind: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${kind}${i}@fifty${i % 3}.example`);
    const all = [...list("to", 20), ...list("cc", 15), ...list("bcc", 15)];
    await client.sendEmail(
      message(list("to", 20).join(", "), { Cc: list("cc", 15).join(","), Bcc: list("bcc", 15).join(",") }),
    );
    for (const address of all) await system.arrives(address);
    const copy = await system.arrives("bcc0@fifty0.example");
    expect(copy.raw).not.toMatch(/bcc\d+@/i);
  });

  it("is told of an inactive recipient after a hard bounce, and can activate it again", async () => {
    await client.sendEmail(message("hard-bounce@again.example"));
    await until("the bounce is listed", async () => {
      const { Bounces } = await client.getBounces({
        emailFilter: "hard-bounce@again.example",
        count: 10,
        offset: 0,
      });
      return Bounces.length === 1;
    });
    const error = await client.sendEmail(message("hard-bounce@again.example")).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 406, recipients: ["hard-bounce@again.example"] });
    const [bounce] = (await client.getBounces({ emailFilter: "hard-bounce@again", count: 1, offset: 0 }))
      .Bounces;
    expect(bounce).toMatchObject({ Type: "HardBounce", Inactive: true, CanActivate: true });
    expect((await client.activateBounce(bounce?.ID ?? 0)).Message).toBe("OK");
    expect((await client.sendEmail(message("hard-bounce@again.example"))).ErrorCode).toBe(0);
  });

  it("finds what it sent in the next list, and the count exact, while messages go from the Outbox to the archive", async () => {
    const tag = "listed";
    let sent = 0;
    const sendAndList = async () => {
      const { MessageID } = await client.sendEmail(message(`l${sent++}@list.example`, { Tag: tag }));
      const { TotalCount, Messages } = await client.getOutboundMessages({ tag, count: 5, offset: 0 });
      expect([TotalCount, Messages[0]?.MessageID]).toEqual([sent, MessageID]);
    };
    // Over two flushes or three.
    const end = Date.now() + 6_000;
    while (Date.now() < end) await sendAndList();
    // Lists that begin when nothing is on its way, and lists while something is.
    for (let i = 0; i < 40; i++) {
      const { TotalCount } = await client.getOutboundMessages({ tag, count: 5, offset: 0 });
      expect(TotalCount).toBe(sent);
      await new Promise((done) => setTimeout(done, 200));
    }
    for (let i = 0; i < 5; i++) await sendAndList();
  });

  it("repeats with an Idempotency-Key and gets the first answer; with another body, a 409", async () => {
    const body = message("idem@client.example");
    const key = { "Idempotency-Key": "order-1" };
    const [first, ...others] = await Promise.all(
      [1, 2, 3, 4].map(() => system.api("POST", "/email", body, key)),
    );
    for (const other of others) expect(other?.json).toEqual(first?.json);
    const conflict = await system.api("POST", "/email", { ...body, Subject: "Other" }, key);
    expect(conflict.status).toBe(409);
    await system.arrives("idem@client.example");
    await until("it is final", async () => (await system.ledger()).waiting === 0);
    expect(await system.inbox({ to: "idem@client.example" })).toHaveLength(1);
  });
});

describe("what arrives", () => {
  const png =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

  it("is signed and whole, in the eyes of mailauth, OpenDKIM and postal-mime", async () => {
    await client.sendEmail(
      message('"Zoë, Ünal" <whole@client.example>', {
        Subject: "Grüße aus 東京 🎉",
        HtmlBody: '<p>Ein Bild: <img src="cid:dot.png"></p>',
        TextBody: "Ein Bild.\r\n.\r\n.. punkt\r\n",
        Metadata: { order: "17" },
        Attachments: [
          { Name: "dot.png", Content: png, ContentType: "image/png", ContentID: "cid:dot.png" },
          { Name: "отчёт.txt", Content: btoa("hello"), ContentType: "text/plain", ContentID: "" },
        ],
      }),
    );
    const { raw, envelope } = await system.arrives("whole@client.example");
    expect(raw).not.toMatch(/order.{0,5}17/);

    const verdict = await judge(raw, envelope.from);
    expect(verdict.dkim.results.map((r) => r.status.result)).toEqual(["pass", "pass"]);
    expect(verdict.spf).toMatchObject({ status: { result: "pass" } });
    expect(verdict.dmarc).toMatchObject({ status: { result: "pass" } });

    const mail = await PostalMime.parse(raw);
    expect(mail.subject).toBe("Grüße aus 東京 🎉");
    expect(mail.to?.[0]).toMatchObject({ name: "Zoë, Ünal", address: "whole@client.example" });
    expect(mail.attachments.map((a) => a.filename)).toEqual(["dot.png", "отчёт.txt"]);
    expect(mail.text).toContain(".\n.. punkt");
  });

  it.skipIf(spawnSync("which", ["opendkim-testmsg"]).status !== 0)("verifies with OpenDKIM", async () => {
    await client.sendEmail(message("opendkim@client.example"));
    const { raw } = await system.arrives("opendkim@client.example");
    const keys = recordsOf(await (await fetch(`${system.local.world.http}/dns`)).json());
    const folder = mkdtempSync(join(tmpdir(), "opendkim-"));
    const data = [...keys]
      .filter(([name]) => name.includes("_domainkey"))
      .map(([name, value]) => `${name} ${value}`);
    writeFileSync(join(folder, "keys"), `${data.join("\n")}\n`);
    writeFileSync(join(folder, "conf"), `TestDNSData ${join(folder, "keys")}\nMode v\n`);
    writeFileSync(join(folder, "mail"), raw);
    const run = spawnSync("opendkim", ["-x", join(folder, "conf"), "-vv", "-t", join(folder, "mail")], {
      encoding: "utf8",
    });
    rmSync(folder, { recursive: true });
    expect(`${run.stdout}${run.stderr}`).toMatch(/verification \(s=\S+pm, d=example\.com.*\) succeeded/);
  });

  it.skipIf(spawnSync("which", ["opendmarc"]).status !== 0)(
    "passes OpenDMARC by the record that we say is to be published, and a forged message does not",
    async () => {
      const account = { "X-Postmark-Account-Token": system.local.accountToken };
      const domains = await system.api("GET", "/domains?count=1&offset=0", undefined, account);
      const [{ ID }] = domains.json.Domains as [{ ID: number }];
      const { json } = await system.api("GET", `/domains/${ID}/dmarc`, undefined, account);
      const { Host, Value } = json.DNS as { Host: string; Value: string };
      await client.sendEmail(message("opendmarc@client.example"));
      const { raw, envelope } = await system.arrives("opendmarc@client.example");
      const forged = raw.replaceAll(/^DKIM-Signature:.*\r\n(?:[ \t].*\r\n)*/gm, "");
      const verdicts = new Map([
        [raw, await judge(raw, envelope.from)],
        [forged, await judge(forged, "anybody@elsewhere.example")],
      ]);

      const folder = mkdtempSync(join(tmpdir(), "opendmarc-"));
      writeFileSync(join(folder, "dns"), `${Host} ${Value}\n`);
      const conf = [
        `AuthservID ${RECEIVER}`,
        `TrustedAuthservIDs ${RECEIVER}`,
        `TestDNSData ${join(folder, "dns")}`,
      ];
      writeFileSync(join(folder, "conf"), `${conf.join("\n")}\n`);
      const said = [...verdicts].map(([mail, { dkim, spf }]) => {
        const found = [
          ...dkim.results.map(
            ({ status, signingDomain }) => `dkim=${status.result} header.d=${signingDomain ?? ""}`,
          ),
          `spf=${spf ? spf.status.result : "none"} smtp.mailfrom=${spf ? spf.domain : ""}`,
        ];
        writeFileSync(
          join(folder, "mail"),
          `Authentication-Results: ${[RECEIVER, ...found].join("; ")}\r\n${mail}`,
        );
        const args = ["-c", join(folder, "conf"), "-f", "-v", "-v", "-t", join(folder, "mail")];
        return spawnSync("opendmarc", args, { encoding: "utf8" }).stdout;
      });
      rmSync(folder, { recursive: true });
      expect(said[0]).toContain("dmarc=pass (p=none dis=none) header.from=example.com");
      expect(said[1]).toContain("dmarc=fail (p=none dis=none) header.from=example.com");
    },
  );
});

/** What a receiver finds of SPF, DKIM and DMARC. */
async function judge(raw: string, sender: string) {
  const records = recordsOf(await (await fetch(`${system.local.world.http}/dns`)).json());
  return authenticate(raw, {
    ...{ ip: "127.0.0.1", helo: "gateway.example.com", mta: RECEIVER, sender },
    resolver: async (name: string, type: string) => {
      const found = type === "TXT" ? records.get(name.toLowerCase()) : undefined;
      if (!found) throw Object.assign(new Error("ENODATA"), { code: "ENODATA" });
      return [[found]];
    },
  });
}

/** The local world's own records, by name. */
function recordsOf(answer: unknown): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, values] of Object.entries(answer as Record<string, string[]>)) {
    const [name, type] = key.split(" ");
    if (name && type === "TXT" && values[0]) found.set(name.toLowerCase(), values[0]);
  }
  return found;
}
