/**
 * D1 refuses every statement, from the first on or later, then R2, then the event log, under load: accepting and delivering go on, those
 * that do not refuse have all of it meanwhile, and the others afterwards. Then none of them answers at all.
 */
import { createTransport } from "nodemailer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

/** So long a store refuses while messages come and go. */
const FAULT_MS = 20_000;

let system: System;

beforeAll(async () => {
  system = await System.start(undefined, { EDGEPOST_WORKER_ENTRY: "test/journeys/wrapped-worker.ts" });
}, 100_000);
afterAll(() => system.remove());

async function fault(which: "d1" | "r2" | "events" | "none"): Promise<void> {
  await fetch(`${system.local.http}/test/faults?${which}=1`);
}

describe("a directory that is away before anything is known", () => {
  it("is a reason to come again, and never to say that a token is wrong", async () => {
    await fault("d1");
    const message = { From: "sender@example.com", To: "early@fault.example", Subject: "s", TextBody: "t" };
    expect(await system.api("POST", "/email", message)).toMatchObject({
      status: 503,
      json: { ErrorCode: 100 },
    });
    const { smtp, serverToken } = system.local;
    const client = createTransport({
      host: smtp.host,
      port: smtp.port,
      requireTLS: true,
      tls: { rejectUnauthorized: false },
      auth: { user: serverToken, pass: serverToken },
    });
    await expect(client.verify()).rejects.toMatchObject({ responseCode: 454 });
    await fault("none");
    expect((await system.api("POST", "/email", message)).status).toBe(200);
    await until("the gateway asks again", () => client.verify().catch(() => false));
    client.close();
  });
});

describe("a store that refuses", () => {
  it.each(["d1", "r2", "events"] as const)(
    "%s: nobody notices but the archive, and that only for a while",
    async (which) => {
      const token = `${which}-${Date.now()}`;
      // The Outbox learns of its server while the directory answers.
      const send = (i: number) =>
        system.api("POST", "/email", {
          From: "sender@example.com",
          To: `${token}-${i}@fault${i % 3}.example`,
          Subject: `s ${token}`,
          TextBody: "t",
          Tag: token,
        });
      expect((await send(0)).status).toBe(200);
      await fault(which);
      const end = Date.now() + FAULT_MS;
      const ids: string[] = [];
      while (Date.now() < end) {
        const { status, json } = await send(ids.length + 1);
        expect(status, JSON.stringify(json)).toBe(200);
        ids.push(String(json.MessageID));
        await new Promise((done) => setTimeout(done, 100));
      }
      // Delivered while the store refuses: the inbox has all but those of this moment.
      await until(`all arrived while ${which} refuses`, async () => {
        const found = await system.inbox({ limit: "5000" });
        return found.filter((m) => m.raw.includes(`s ${token}`)).length === ids.length + 1;
      });
      const held = await system.api("GET", `/messages/outbound/${ids.at(-1)}/details`);
      expect(held.status).toBe(200);
      // The targets do not wait for one another.
      const isElsewhere = async () =>
        which === "events"
          ? (await stored(token)).counts.segments === ids.length + 1
          : (await told(token)).length === ids.length + 1;
      await until(`all is where ${which} is not asked`, isElsewhere);
      await fault("none");

      await until(
        "the archive is complete",
        async () => {
          const { counts } = await stored(token);
          return counts.messages === ids.length + 1 && counts.segments === ids.length + 1;
        },
        90_000,
      );
      const { json } = await system.api("GET", `/messages/outbound?count=1&offset=0&tag=${token}`);
      expect(json.TotalCount).toBe(ids.length + 1);
      const dump = await system.api("GET", `/messages/outbound/${ids[0]}/dump`);
      expect(dump.json.Body).toMatch(/^DKIM-Signature:/);
      expect(await system.ledger()).toMatchObject({ waiting: 0, drift: 0 });
      await until("the log is complete", async () => (await told(token)).length >= ids.length + 1, 90_000);
      expect(new Set(await told(token)).size).toBe(ids.length + 1);
      expect(await told(token)).toHaveLength(ids.length + 1);
    },
    240_000,
  );
});

describe("stores that never answer", () => {
  it("keep no mail that is due from going out", async () => {
    const send = (to: string) =>
      system.api("POST", "/email", { From: "sender@example.com", To: to, Subject: "s", TextBody: "t" });
    const first = await send("first@silent.example");
    await system.arrives("first@silent.example");
    await fetch(`${system.local.http}/test/faults?d1=1&r2=1&events=1&silent=1`);
    expect(first.status).toBe(200);
    await send("second@silent.example");
    await system.arrives("second@silent.example");
    // By now the Outbox asks the stores, and waits.
    await new Promise((done) => setTimeout(done, 4_000));
    system.kill("gateway");
    expect((await send("third@silent.example")).status).toBe(200);
    // It is tried again as soon as ever: long before anything gives up waiting for both stores.
    await system.arrives("third@silent.example", 40_000);
    await fault("none");
    await until("nobody waits", async () => (await system.ledger()).waiting === 0);
  }, 120_000);
});

/** What the archive itself has, past everything that an Outbox still holds. */
async function stored(tag: string): Promise<{ counts: { messages: number; segments: number } }> {
  const response = await fetch(`${system.local.http}/test/archive?tag=${tag}`);
  return (await response.json()) as { counts: { messages: number; segments: number } };
}

/** Whose delivery the event log has, as often as it has it. */
async function told(token: string): Promise<string[]> {
  const recipients: string[] = [];
  for (let after = "0", more = true; more; ) {
    const { json } = await system.api("GET", `/events?types=Delivery&count=500&after=${after}`);
    const page = json as unknown as { Events: { Recipient: string }[]; NextCursor: string; HasMore: boolean };
    recipients.push(...page.Events.map((event) => event.Recipient).filter((to) => to.startsWith(token)));
    [after, more] = [page.NextCursor, page.HasMore];
  }
  return recipients;
}
