/** What comes back by mail, in a running system: each ends as the right record, suppression and event, though all of it is killed. */
import { createTransport } from "nodemailer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dsnFor } from "../receive/world.ts";
import { System, until } from "./system.ts";

interface Shown {
  ID: string;
  RecordType: string;
  MessageID: string;
  Type?: string;
  Email?: string;
  Subject?: string;
}

interface Bounce {
  ID: number;
  Type: string;
  Email: string;
  MessageID: string;
  Inactive: boolean;
  CanActivate: boolean;
  DumpAvailable: boolean;
  Details: string;
}

/** What a killed tree lost is found by cron after two minutes, a minute later at most. */
const AFTER_A_KILL_MS = 300_000;

let system: System;
beforeAll(async () => {
  system = await System.start();
  const Triggers = {
    Bounce: { Enabled: true, IncludeContent: true },
    SpamComplaint: { Enabled: true },
    SubscriptionChange: { Enabled: true },
  };
  const Url = `${system.local.world.http}/sink/back`;
  expect((await system.api("POST", "/webhooks", { Url, Triggers })).status).toBe(200);
}, 100_000);
afterAll(() => system.remove());

async function send(to: string, fields: Record<string, unknown> = {}): Promise<string> {
  const body = { From: "sender@example.com", To: to, Subject: `For ${to}`, TextBody: "Hello", ...fields };
  const { json } = await system.api("POST", "/email", body);
  expect(json).toMatchObject({ ErrorCode: 0 });
  return String(json.MessageID);
}

async function bounceOf(email: string): Promise<Bounce> {
  let found: Bounce | undefined;
  await until(`a bounce of ${email}`, async () => {
    const { json } = await system.api("GET", `/bounces?count=50&offset=0&emailFilter=${email}`);
    [found] = json.Bounces as Bounce[];
    return found !== undefined;
  });
  return found as Bounce;
}

async function events(query: string): Promise<Shown[]> {
  const { json } = await system.api("GET", `/events?count=500&${query}`);
  return json.Events as Shown[];
}

/** What the webhook was told of an address. */
async function hooked(email: string): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${system.local.world.http}/sink/back`);
  const { requests } = (await response.json()) as { requests: { body: string }[] };
  const told = requests.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
  return told.filter((t) => t.Email === email || t.Recipient === email);
}

async function suppressionOf(email: string) {
  const { json } = await system.api(
    "GET",
    `/message-streams/outbound/suppressions/dump?EmailAddress=${encodeURIComponent(email)}`,
  );
  return (json.Suppressions as { SuppressionReason: string; Origin: string }[])[0];
}

describe("what the world answers", () => {
  it("late-bounce@: a hard bounce with its report, and the address gets no more", async () => {
    const to = "late-bounce@late.example";
    const id = await send(to, { Tag: "late", Metadata: { order: "7" } });
    const bounce = await bounceOf(to);
    expect(bounce).toMatchObject({
      Type: "HardBounce",
      MessageID: id,
      Inactive: true,
      CanActivate: true,
      DumpAvailable: true,
      Details: "smtp;550 5.1.1 No such user here",
    });
    const { json } = await system.api("GET", `/bounces/${bounce.ID}/dump`);
    expect(json.Body).toContain(`Final-Recipient: rfc822; ${to}`);
    expect(await suppressionOf(to)).toMatchObject({ SuppressionReason: "HardBounce", Origin: "Recipient" });
    let told: Shown[] = [];
    await until("it is told", async () => {
      told = await events(`recipient=${to}&types=Bounce,SubscriptionChange`);
      return told.length >= 2;
    });
    expect(told.map((e) => e.RecordType).toSorted()).toEqual(["Bounce", "SubscriptionChange"]);
    expect(told.find((e) => e.RecordType === "Bounce")).toMatchObject({
      ...{ Type: "HardBounce", Tag: "late", Metadata: { order: "7" }, MessageID: id },
    });
    await until("the webhook is told", async () => (await hooked(to)).length >= 2);
    expect(
      (await hooked(to)).toSorted((a, b) => (String(a.RecordType) < String(b.RecordType) ? -1 : 1)),
    ).toMatchObject([
      {
        ...{
          RecordType: "Bounce",
          ID: bounce.ID,
          Type: "HardBounce",
          TypeCode: 1,
          MessageID: id,
          Inactive: true,
        },
        ...{ Tag: "late", Metadata: { order: "7" }, DumpAvailable: true, CanActivate: true },
        Content: expect.stringContaining("Diagnostic-Code: smtp; 550 5.1.1"),
      },
      { RecordType: "SubscriptionChange", SuppressSending: true, SuppressionReason: "HardBounce" },
    ]);
    await until("the next is refused", async () => {
      const again = { From: "sender@example.com", To: to, Subject: "again", TextBody: "x" };
      return (await system.api("POST", "/email", again)).json.ErrorCode === 406;
    });
  });

  it("complain@: a complaint that nobody but the recipient can take back", async () => {
    const to = "complain@loop.example";
    const id = await send(to);
    const [arrived] = [await system.arrives(to)];
    expect(arrived.raw).toMatch(
      /^X-Complaints-To: c-[0-9a-f]{32}-[0-9a-z]+-[0-9a-f]{16}@bounces\.example\.com\r$/m,
    );
    const bounce = await bounceOf(to);
    expect(bounce).toMatchObject({
      Type: "SpamComplaint",
      MessageID: id,
      Inactive: true,
      CanActivate: false,
    });
    expect(await suppressionOf(to)).toMatchObject({
      SuppressionReason: "SpamComplaint",
      Origin: "Recipient",
    });
    await until("it is told", async () => (await events(`recipient=${to}&types=SpamComplaint`)).length === 1);
    await until("the webhook is told", async () => (await hooked(to)).length >= 2);
    expect((await hooked(to)).find((t) => t.RecordType === "SpamComplaint")).toMatchObject({
      ...{ ID: bounce.ID, Type: "SpamComplaint", TypeCode: 100001, MessageID: id, Inactive: true },
    });
    expect((await system.api("PUT", `/bounces/${bounce.ID}/activate`)).json.ErrorCode).toBe(1003);
  });

  it("out-of-office@: noted, and the address is mailed on", async () => {
    const to = "out-of-office@away.example";
    await send(to);
    expect(await bounceOf(to)).toMatchObject({ Type: "AutoResponder", Inactive: false });
    expect(await suppressionOf(to)).toBeUndefined();
    await until("the webhook is told", async () => (await hooked(to)).length === 1);
    expect(await hooked(to)).toMatchObject([{ RecordType: "Bounce", Type: "AutoResponder", TypeCode: 64 }]);
    await send(to);
  });

  it("reply@: inbound mail of the server", async () => {
    const to = "reply@person.example";
    const address = system.local.inboundAddress.replace("@", "+ticket-7@");
    await send(to, { ReplyTo: address });
    let messages: Record<string, unknown>[] = [];
    await until("the answer is filed", async () => {
      const { json } = await system.api("GET", "/messages/inbound?count=10&offset=0");
      messages = json.InboundMessages as Record<string, unknown>[];
      return messages.length > 0;
    });
    expect(messages).toMatchObject([
      { From: to, MailboxHash: "ticket-7", OriginalRecipient: address, Status: "Processed" },
    ]);
    const details = await system.api("GET", `/messages/inbound/${messages[0]?.MessageID}/details`);
    expect(String(details.json.TextBody)).toContain("Thank you, that works for me.");
    await until("it is told", async () => (await events("types=Inbound")).length === 1);
  });
});

describe("a probe", () => {
  it("goes out, comes back as a bounce that suppresses nobody, and says so", async () => {
    const { status, json } = await system.api("POST", "/bounces/probe", { Transport: "gateway" });
    expect([status, json.State]).toEqual([200, "Waiting"]);
    const look = async () => (await system.api("GET", `/bounces/probe/${json.ID}`)).json;
    await until("it is back", async () => (await look()).State !== "Waiting", 60_000);
    const shown = await look();
    expect(shown).toMatchObject({ State: "Working", Advice: "" });
    expect((shown.Steps as { Name: string; State: string }[]).map((s) => `${s.Name} ${s.State}`)).toEqual([
      "Accepted Done",
      "Sent Done",
      "Returned Done",
      "Told Done",
    ]);
    const { json: found } = await system.api("GET", `/bounces?count=5&offset=0&messageID=${json.ID}`);
    expect(found.Bounces).toMatchObject([{ Type: "Unknown", Inactive: false, DumpAvailable: true }]);
    const other = await send("someone@else.example");
    expect((await system.api("GET", `/bounces/probe/${other}`)).json.ErrorCode).toBe(1001);
  }, 90_000);
});

describe("reports that the door has taken", () => {
  it("are all recorded once, though everything is killed at once", async () => {
    const count = 30;
    const to = Array.from({ length: count }, (_, n) => `r${n}@killed.example`);
    const ids = new Map<string, string>();
    for (const email of to) ids.set(email, await send(email));
    const door = createTransport({
      ...{ host: system.local.smtp.host, port: system.local.smtp.port, pool: true, maxConnections: 5 },
      tls: { rejectUnauthorized: false },
    });
    const paths = new Map<string, string>();
    for (const email of to) paths.set(email, (await system.arrives(email)).envelope.from);
    await Promise.all(
      to.map((email) =>
        door.sendMail({
          envelope: { from: "", to: paths.get(email) ?? "" },
          raw: dsnFor({ id: ids.get(email) ?? "", to: email }),
        }),
      ),
    );
    // Some are read by now, some are being read, some wait.
    system.killTree();
    door.close();
    await system.startAgain();
    const find = async () => {
      const { json } = await system.api("GET", "/bounces?count=500&offset=0&emailFilter=killed.example");
      return json.Bounces as Bounce[];
    };
    await until("all are bounces", async () => (await find()).length >= count, AFTER_A_KILL_MS);
    const found = await find();
    expect(found.map((b) => b.Email).toSorted()).toEqual(to.toSorted());
    expect(new Set(found.map((b) => `${b.Type} ${b.Inactive}`))).toEqual(new Set(["HardBounce true"]));
    for (const email of to) expect(await suppressionOf(email)).toBeDefined();
    let told: Shown[] = [];
    await until(
      "all are told",
      async () => {
        told = (await events("types=Bounce")).filter((e) => e.Email?.endsWith("killed.example"));
        return told.length >= count;
      },
      AFTER_A_KILL_MS,
    );
    expect(told.map((e) => e.Email).toSorted()).toEqual(to.toSorted());
    const { json } = await system.api("GET", "/deliverystats");
    const hard = (json.Bounces as { Type?: string; Count: number }[]).find((b) => b.Type === "HardBounce");
    // And the one above.
    expect(hard?.Count).toBe(count + 1);
  }, 700_000);
});
