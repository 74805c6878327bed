/** The local world's mail servers behave as the real ones do: each ends as the right record, and every wait tells its reason. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

interface Timeline {
  Recipients: { Recipient: string; State: string; NextTryAt?: string; Reason?: string }[];
  Timeline: {
    Type: string;
    Transport?: string;
    Reply?: string;
    EnhancedStatus?: string;
    Uncertain?: boolean;
    Transcript?: unknown[];
  }[];
}

let system: System;

beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

async function send(to: string): Promise<string> {
  const body = { From: "sender@example.com", To: to, Subject: "s", TextBody: "t" };
  const { json } = await system.api("POST", "/email", body);
  return String(json.MessageID);
}

async function timeline(id: string): Promise<Timeline> {
  return (await system.api("GET", `/messages/outbound/${id}/timeline`)).json as unknown as Timeline;
}

/** Sends, and gives the story once there has been an attempt. */
async function attempted(to: string): Promise<Timeline> {
  const id = await send(to);
  let story: Timeline | undefined;
  await until(`there is an attempt at ${to}`, async () => {
    story = await timeline(id);
    return story.Timeline.some((e) => e.Transport !== undefined);
  });
  return story as Timeline;
}

describe("ends at once", () => {
  it.each([
    ["anyone@ends.example", "Delivered", "", /^250 2/],
    ["hard-bounce@ends.example", "Bounced", "HardBounce", /^550 5\.1\.1/],
    ["blocked@ends.example", "Bounced", "Blocked", /^550 5\.7\.1/],
    ["notls@notls.ends.example", "Delivered", "", /^250 2/],
    ["badtls@badtls.ends.example", "Delivered", "", /^250 2/],
    ["someone@blackhole.postmarkapp.com", "Delivered", "", /^250 2/],
    ["softbounce@bounce-testing.postmarkapp.com", "Bounced", "SoftBounce", /^5/],
  ])("%s: %s %s", async (to, state, type, reply) => {
    const story = await attempted(to);
    expect(story.Recipients).toMatchObject([{ Recipient: to, State: state }]);
    expect(story.Timeline.findLast((e) => e.Transport)?.Reply).toMatch(reply);
    if (type === "") return;
    const query = `/bounces?count=1&offset=0&emailFilter=${to}`;
    await until("the bounce is listed", async () => (await system.api("GET", query)).json.TotalCount === 1);
    const { Bounces } = (await system.api("GET", query)).json as { Bounces: { Type: string }[] };
    expect(Bounces[0]?.Type).toBe(type);
  });

  it.each([
    ["x@nullmx.test", /5\.1\.10/],
    ["x@nodomain.test", /5\.1\.2/],
  ])("%s bounces without a connection", async (to, reason) => {
    const story = await attempted(to);
    expect(story.Recipients).toMatchObject([{ State: "Bounced" }]);
    expect(story.Recipients[0]?.Reason).toMatch(reason);
  });
});

describe("waits, and says for what and until when", () => {
  it.each([
    ["greylist@waits.example", /^mx\.world\.test: 451 4\.7\.1 /],
    ["mailbox-full@waits.example", /^mx\.world\.test: 452 4\.2\.2 /],
    ["drop@waits.example", /^mx\.world\.test: 4\.4\.2 .+/],
    ["x@servfail.test", /^4\.4\.3 .+/],
  ])("%s", async (to, reason) => {
    const before = Date.now();
    const story = await attempted(to);
    expect(story.Recipients).toMatchObject([{ State: "Waiting" }]);
    expect(story.Recipients[0]?.Reason).toMatch(reason);
    const next = Date.parse(story.Recipients[0]?.NextTryAt ?? "");
    expect(next).toBeGreaterThan(before + 30_000);
    expect(next).toBeLessThan(Date.now() + 120_000);
  });

  it("marks an attempt that ended between the dot and its reply as uncertain", async () => {
    const story = await attempted("after-dot@waits.example");
    expect(story.Recipients).toMatchObject([{ State: "Waiting" }]);
    expect(story.Timeline.some((e) => e.Uncertain)).toBe(true);
  });

  it("keeps a transcript of each reply", async () => {
    const story = await attempted("transcript@waits.example");
    const said = (story.Timeline.at(-1)?.Transcript ?? []) as {
      Command: string;
      Reply: string;
      At: string;
    }[];
    expect(said.map((e) => e.Command.split(" ")[0])).toEqual(
      expect.arrayContaining(["(connect)", "EHLO", "MAIL", "RCPT", "DATA", "(message)"]),
    );
    expect(said.every((e) => /^\d{3}/.test(e.Reply) && !Number.isNaN(Date.parse(e.At)))).toBe(true);
  });
});

describe("nobody waits behind another's mail server", () => {
  it("mail passes one that takes ten seconds", async () => {
    const slow = await send("slow@behind.example");
    await send("quick@behind.example");
    await system.arrives("quick@behind.example");
    expect((await timeline(slow)).Recipients).toMatchObject([{ State: "Waiting" }]);
    await until(
      "the slow one is delivered too",
      async () => (await timeline(slow)).Recipients[0]?.State === "Delivered",
    );
  });

  it("and ten thousand that wait for a dead destination", async () => {
    const message = (i: number) => ({
      From: "sender@example.com",
      To: `n${i}@dead.servfail.test`,
      Subject: "s",
      TextBody: "t",
    });
    for (let i = 0; i < 20; i++) {
      const batch = Array.from({ length: 500 }, (_, n) => message(i * 500 + n));
      expect((await system.api("POST", "/email/batch", batch)).status).toBe(200);
    }
    expect((await system.ledger()).waiting).toBeGreaterThanOrEqual(10_000);
    const live = await send("live@passes.example");
    await system.arrives("live@passes.example");
    await until("it is delivered", async () => (await timeline(live)).Recipients[0]?.State === "Delivered");
    const { drift, waiting } = await system.ledger();
    expect(drift).toBe(0);
    expect(waiting).toBeGreaterThanOrEqual(10_000);
    const { Messages } = (
      await system.api("GET", "/messages/outbound?count=1&offset=0&recipient=n9999@dead.servfail.test")
    ).json as { Messages: { MessageID: string }[] };
    await until("the last of them has a reason and a next try", async () => {
      const [recipient] = (await timeline(Messages[0]?.MessageID ?? "")).Recipients;
      return Boolean(recipient?.Reason && recipient.NextTryAt);
    });
    const { Destinations } = (await system.api("GET", "/destinations?count=1&offset=0")).json as {
      Destinations: Record<string, unknown>[];
    };
    expect(Destinations).toMatchObject([
      { Destination: "dead.servfail.test", State: "Stopped", RatePerMinute: null, PacedWith: null },
    ]);
    expect(Destinations[0]?.Waiting).toBeGreaterThanOrEqual(9_900);
    expect(Destinations[0]?.Reason).toMatch(/^4\.4\.3 .+/);
    expect(Date.parse(String(Destinations[0]?.Since))).toBeLessThanOrEqual(Date.now());
    expect(Date.parse(String(Destinations[0]?.NextTryAt))).toBeGreaterThan(Date.now() - 60_000);
  }, 180_000);
});

describe("a destination that is back", () => {
  it("gets its mail when somebody says so, and not only when its time comes", async () => {
    const domain = "back.example";
    const dns = `${system.local.world.http}/dns/${domain}/MX`;
    await fetch(dns, { method: "PUT", body: "10 mx.servfail.test" });
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) ids.push(await send(`r${i}@${domain}`));
    const look = async () => (await system.api("GET", `/destinations/${domain.toUpperCase()}`)).json;
    await until("it is stopped", async () => (await look()).State === "Stopped");
    expect(await look()).toMatchObject({ Destination: domain, Waiting: 12, AvoidedTransports: [] });
    await fetch(dns, { method: "DELETE" });
    // The gateway asks the DNS again what failed five seconds ago.
    await new Promise((done) => setTimeout(done, 5_500));
    const account = { "X-Postmark-Account-Token": system.local.accountToken };
    const resume = () => system.api("POST", `/destinations/${domain}/resume`, undefined, account);
    expect((await resume()).json).toMatchObject({ Destination: domain, Waiting: 12 });
    // Far sooner than the minute that it was stopped for, and that those who were tried were to wait.
    await until(
      "all are there",
      async () => (await system.inbox({ limit: "100" })).filter(isThere).length === 12,
    );
    await until("nothing waits", async () => (await look()).ErrorCode === 1490);
    function isThere({ envelope }: { envelope: { to: string[] } }): boolean {
      return envelope.to[0]?.endsWith(`@${domain}`) ?? false;
    }
  });
});
