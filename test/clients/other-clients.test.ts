/** Clients that no one here wrote, each pointed at the local system: they send, and read back what they sent. */
import { execFile, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { createTransport } from "nodemailer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System } from "../journeys/system.ts";

const run = promisify(execFile);
/** Its types say that it has a default export; it is a function. */
const postmarkTransport: typeof import("nodemailer-postmark-transport").default = createRequire(
  import.meta.url,
)("nodemailer-postmark-transport");
const has = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;
const hasRuby = has("ruby", "-e", "require 'postmark'");
/** The one that Debian's packages are for: another may come first on the path. */
const PYTHON = "/usr/bin/python3";
const hasAnymail = has(PYTHON, "-c", "import django, anymail, requests");

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 120_000);
afterAll(() => system.remove());

const environment = () => {
  const { http, serverToken, accountToken, from } = system.local;
  const { hostname: HOST, port: PORT } = new URL(http);
  return { ...process.env, HOST, PORT, SERVER_TOKEN: serverToken, ACCOUNT_TOKEN: accountToken, FROM: from };
};

describe.runIf(hasRuby)("Postmark's Ruby gem", () => {
  it("sends, reads, refuses and manages as it does with Postmark", async () => {
    const { stdout } = await run("ruby", [join(import.meta.dirname, "ruby.rb")], { env: environment() });
    const seen = JSON.parse(stdout);
    expect(seen.sent.message).toBe("OK");
    expect(seen.read).toMatchObject({
      message_id: seen.sent.message_id,
      subject: "From Ruby",
      tag: "ruby",
      recipients: ["ruby@customer.test"],
      text_body: expect.stringContaining("Hello from a gem"),
    });
    expect(seen.batch.map((r: { error_code: number }) => r.error_code)).toEqual([0, 0, 0]);
    expect(seen.refused).toEqual({ class: "Postmark::InvalidEmailAddressError", code: 300 });
    expect(seen.inactive).toContain("Found inactive addresses: gone@customer.test.");
    expect(seen.templated.message).toBe("OK");
    expect(seen.listed).toEqual(["From Ruby"]);
    expect(seen.streams).toEqual(["broadcast", "inbound", "outbound"]);
    expect(seen.overview).toBeGreaterThan(15);
    expect(seen.spf).toBe(true);
    expect(seen.rotate).toBe("This DKIM is already being renewed.");
    expect(seen.servers).toBe(true);
    expect(seen.deleted.message).toMatch(/removed/);
    const mail = await system.arrives("ruby-template@customer.test");
    expect(mail.raw).toContain("Subject: Hi Ruby");
  }, 120_000);
});

describe.runIf(hasAnymail)("Anymail, for Django", () => {
  it("sends, and understands who got what", async () => {
    const made = await system.api("POST", "/templates", {
      Name: "Django",
      Alias: "django",
      Subject: "{{name}} at {{place}}",
      TextBody: "Dear {{name}}",
    });
    expect(made.status).toBe(200);
    const suppressed = { Suppressions: [{ EmailAddress: "suppressed@customer.test" }] };
    await system.api("POST", "/message-streams/outbound/suppressions", suppressed);
    const env = { ...environment(), API_URL: system.local.http, TEMPLATE: "django" };
    const { stdout } = await run(PYTHON, [join(import.meta.dirname, "anymail-client.py")], { env });
    const seen = JSON.parse(stdout);
    expect(seen.sent).toEqual({ "ann@customer.test": "sent", "bob@customer.test": "sent" });
    expect(seen.merged).toEqual({ "one@merge.test": "sent", "two@merge.test": "sent" });
    expect(seen.half).toEqual({ "fine@customer.test": "sent", "suppressed@customer.test": "rejected" });
    expect(seen.refused).toEqual({ "suppressed@customer.test": "rejected" });
    expect(seen.invalid).toEqual({ "nobody@localhost": "invalid" });
    const { json } = await system.api("GET", `/messages/outbound/${seen.id}/details`);
    expect(json).toMatchObject({
      Subject: "From Django",
      Tag: "django",
      Metadata: { order: "2" },
      Attachments: ["note.txt"],
      Cc: [{ Email: "bob@customer.test", Name: "" }],
    });
    for (const name of ["one", "two"]) {
      const mail = await system.arrives(`${name}@merge.test`);
      expect(mail.raw.toLowerCase()).toContain(`subject: ${name} at here`);
    }
  }, 120_000);
});

describe("nodemailer's Postmark transport", () => {
  it("sends, and what it sent is found by its id", async () => {
    const { http, serverToken, from } = system.local;
    const transport = createTransport(
      postmarkTransport({
        auth: { apiKey: serverToken },
        postmarkOptions: { requestHost: new URL(http).host, useHttps: false },
      }),
    );
    const sent = await transport.sendMail({
      from,
      to: "Nora <nora@customer.test>",
      subject: "From nodemailer",
      text: "Hello",
      html: "<p>Hello</p>",
      attachments: [{ filename: "a.txt", content: "attached" }],
    });
    const id = (sent as unknown as { messageId: string }).messageId;
    const { json } = await system.api("GET", `/messages/outbound/${id}/details`);
    expect(json).toMatchObject({ Subject: "From nodemailer", Attachments: ["a.txt"] });
    expect((await system.arrives("nora@customer.test")).raw).toContain("Subject: From nodemailer");
  }, 60_000);
});
