/** What comes back by mail to the front door. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import PostalMime, { type Email } from "postal-mime";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until, World } from "./world.ts";

interface Came {
  from: string;
  to: string;
  raw: string;
}

let world: World;
const came: Came[] = [];
/** Addresses that are refused for now, and how often still. */
const deferred = new Map<string, number>();
const door = new SMTPServer({
  authOptional: true,
  logger: false,
  disabledCommands: ["STARTTLS"],
  disableReverseLookup: true,
  onRcptTo({ address }, _session, done) {
    const times = deferred.get(address) ?? 0;
    deferred.set(address, times - 1);
    done(times > 0 ? Object.assign(new Error("later"), { responseCode: 451 }) : null);
  },
  onData(stream, session, done) {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const { mailFrom, rcptTo } = session.envelope;
      came.push({
        from: mailFrom ? mailFrom.address : "",
        to: rcptTo[0]?.address ?? "",
        raw: Buffer.concat(chunks).toString(),
      });
      done();
    });
  },
});

beforeAll(async () => {
  door.listen(0, "127.0.0.1");
  await once(door.server, "listening");
  const { port } = door.server.address() as AddressInfo;
  world = await World.start({ EDGEPOST_FRONT_DOOR: `127.0.0.1:${port}` });
});
afterAll(async () => {
  await world.remove();
  await new Promise<void>((done) => door.close(done));
});

async function comesTo(
  address: string,
): Promise<{ mail: Came; email: Email; parts: Record<string, string> }> {
  const mail = await until(`mail for ${address}`, () => came.find(({ to }) => to === address));
  const email = await PostalMime.parse(mail.raw, {
    forceRfc822Attachments: true,
    attachmentEncoding: "utf8",
  });
  const parts = Object.fromEntries(email.attachments.map((a) => [a.mimeType, String(a.content)]));
  return { mail, email, parts };
}

const field = (email: Email, name: string) => email.headers.find((h) => h.key === name)?.value;

describe("what the world sends back", () => {
  it("late-bounce: a DSN to the reverse-path, from nobody", async () => {
    const from = "b-1@bounces.example.com";
    await world.send({ to: "late-bounce@x.example", from, id: "late", subject: "Grüße" });
    const { mail, email, parts } = await comesTo(from);
    expect(mail.from).toBe("");
    expect(field(email, "content-type")).toMatch(/^multipart\/report;.*report-type=delivery-status/);
    expect(field(email, "auto-submitted")).toBe("auto-replied");
    const status = parts["message/delivery-status"] ?? "";
    expect(status).toMatch(/^Reporting-MTA: dns; mx\.world\.test\r?\nArrival-Date: /);
    expect(status).toMatch(
      /\n\r?\nFinal-Recipient: rfc822; late-bounce@x\.example\r?\nAction: failed\r?\nStatus: 5\.1\.1/,
    );
    expect(parts["text/rfc822-headers"]).toContain("Message-ID: <late@test>");
  });

  it("complain: a feedback report to the address that the message names", async () => {
    const headers = ["X-Complaints-To: <abuse@example.com>"];
    await world.send({ to: "complain@x.example", from: "b-2@bounces.example.com", id: "spam", headers });
    const { email, parts } = await comesTo("abuse@example.com");
    expect(field(email, "content-type")).toMatch(/^multipart\/report;.*report-type=feedback-report/);
    expect(parts["message/feedback-report"]).toMatch(
      /^Feedback-Type: abuse\r?\nUser-Agent: .+\r?\nVersion: 1\r?\n/,
    );
    expect(parts["message/feedback-report"]).toContain("Original-Rcpt-To: <complain@x.example>");
    expect(parts["message/rfc822"]).toMatch(/^Message-ID: <spam@test>$/m);
  });

  it("complain: to the reverse-path when it names none", async () => {
    await world.send({ to: "complain@x.example", from: "b-3@bounces.example.com" });
    expect((await comesTo("b-3@bounces.example.com")).parts["message/feedback-report"]).toContain(
      "Feedback-Type: abuse",
    );
  });

  it("out-of-office: an automatic reply to the reverse-path, that says so", async () => {
    const from = "b-4@bounces.example.com";
    await world.send({ to: "out-of-office@x.example", from, id: "away", subject: "Lunch" });
    const { mail, email } = await comesTo(from);
    expect(mail.from).toBe("");
    expect(email.subject).toBe("Automatic reply: Lunch");
    expect(email.inReplyTo).toBe("<away@test>");
    expect(field(email, "auto-submitted")).toBe("auto-replied");
  });

  it("reply: a person's answer to Reply-To, quoting the text", async () => {
    const headers = ["Reply-To: Desk <desk@inbound.example.com>", "References: <first@test>"];
    await world.send({
      to: "reply@x.example",
      id: "question",
      subject: "Lunch",
      headers,
      text: "At one?\r\n",
    });
    const { mail, email } = await comesTo("desk@inbound.example.com");
    expect(mail.from).toBe("reply@x.example");
    expect(email).toMatchObject({
      subject: "Re: Lunch",
      from: { address: "reply@x.example" },
      inReplyTo: "<question@test>",
    });
    expect(email.references).toBe("<first@test> <question@test>");
    expect(email.text).toContain("> At one?");
  });

  it("reply: to From when there is no Reply-To", async () => {
    await world.send({ to: "reply@x.example", from: "person@example.com" });
    expect((await comesTo("person@example.com")).email.subject).toBe("Re: Hello");
  });

  it("answers once for each recipient, and tries again when it is put off", async () => {
    deferred.set("b-5@bounces.example.com", 1);
    const to = ["late-bounce-1@x.example", "fine@x.example", "late-bounce-2@x.example"];
    await world.send({ to, from: "b-5@bounces.example.com" });
    const failed = await until("two bounces", () => {
      const bounces = came.filter((mail) => mail.to === "b-5@bounces.example.com");
      return bounces.length === 2
        ? bounces.map(({ raw }) => /Final-Recipient: rfc822; (\S+)/.exec(raw)?.[1])
        : undefined;
    });
    expect(failed.sort()).toEqual(["late-bounce-1@x.example", "late-bounce-2@x.example"]);
  });

  it("sends nothing to nobody, nor automatically to what was sent automatically", async () => {
    await world.send({ to: "late-bounce@x.example", from: "" });
    const headers = ["Auto-Submitted: auto-generated"];
    await world.send({ to: "out-of-office@x.example", from: "robot@example.com", headers });
    // What is sent after them has come, so they would have come too.
    await world.send({ to: "late-bounce@x.example", from: "b-6@bounces.example.com" });
    await comesTo("b-6@bounces.example.com");
    expect(came.filter(({ to }) => to === "" || to === "robot@example.com")).toEqual([]);
  });
});

describe("without a front door", () => {
  it("goes on taking mail", async () => {
    const lonely = await World.start();
    await lonely.send({ to: "late-bounce@x.example" });
    expect(await lonely.send({ to: "fine@x.example" })).toMatch(/^250 /);
    await lonely.remove();
  });
});
