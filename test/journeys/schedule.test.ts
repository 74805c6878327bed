/**
 * Messages for later in the whole system, which is killed while they come due: each arrives once, when its time has come; what was moved
 * arrives then, and what was cancelled never.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

const MESSAGES = 500;
/** Until the first comes due: all of them are scheduled by then. */
const AHEAD_MS = 8_000;
/** They come due over this time, in which all is killed twice. */
const SPREAD_MS = 6_000;
/** A session that is cut between the final dot and its reply, or in the moment after it, is tried again. */
const MOMENT_MS = 250;

let system: System;

beforeAll(async () => {
  system = await System.start();
}, 90_000);
afterAll(() => system.remove());

interface Arrival {
  messageId: string;
  to: string[];
  receivedAt: number;
  repliedAt: number | null;
}

async function arrivals(): Promise<Arrival[]> {
  const text = await (await fetch(`${system.local.world.http}/inbox/witness`)).text();
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Arrival);
}

const message = (to: string, at: number) => ({
  ...{ From: "sender@example.com", To: to, Subject: `For ${to}`, TextBody: "Hello" },
  SendAt: new Date(at).toISOString(),
});

describe("messages for later", () => {
  it(`arrive once, all ${MESSAGES} of them, whatever is killed when they come due`, async () => {
    const first = Date.now() + AHEAD_MS;
    const timeOf = (n: number) => first + (n * SPREAD_MS) / MESSAGES;
    const all = Array.from({ length: MESSAGES }, (_, n) => message(`r${n}@d${n % 7}.example`, timeOf(n)));
    const posted = await system.api("POST", "/email/batch", all);
    expect(posted.status).toBe(200);
    const ids = (posted.json as unknown as { MessageID: string; ErrorCode: number }[]).map(
      (m) => m.MessageID,
    );
    expect(new Set(ids).size).toBe(MESSAGES);
    const [cancelled, moved] = [3, 400];
    const off = await system.api("DELETE", `/email/scheduled/${ids[cancelled]}`);
    expect(off).toMatchObject({ status: 200, json: { Status: "Cancelled" } });
    const movedTo = first - 4_000;
    const patched = await system.api("PATCH", `/email/scheduled/${ids[moved]}`, {
      SendAt: new Date(movedTo).toISOString(),
    });
    expect(patched).toMatchObject({ status: 200, json: { Status: "Scheduled", MessageID: ids[moved] } });
    await until("the directory knows of the schedule", async () => {
      const { scheduled = 0, accepted = 0 } = await system.ledger();
      return scheduled + accepted === MESSAGES - 1;
    });

    const kills: { at: number; until: number }[] = [];
    for (const share of [0.15, 0.6]) {
      await until("some have come due", () => Date.now() > first + share * SPREAD_MS);
      const at = Date.now();
      system.killTree();
      kills.push({ at, until: Date.now() });
      await system.startAgain();
    }
    await until(
      "nothing waits",
      async () => {
        const { scheduled, waiting, accepted } = await system.ledger();
        return scheduled === 0 && waiting === 0 && accepted === MESSAGES - 1;
      },
      300_000,
    );

    const arrived = await arrivals();
    const byRecipient = Map.groupBy(arrived, (a) => a.to[0] ?? "");
    expect(byRecipient.size).toBe(MESSAGES - 1);
    expect(byRecipient.has(`r${cancelled}@d${cancelled % 7}.example`)).toBe(false);
    const twice = [...byRecipient.values()].filter((of) => new Set(of.map((a) => a.messageId)).size > 1);
    expect(twice).toEqual([]);
    const isCut = ({ receivedAt, repliedAt }: Arrival) =>
      repliedAt === null || kills.some((k) => k.until >= receivedAt - 5 && k.at <= repliedAt + MOMENT_MS);
    const copies = [...byRecipient.values()].flatMap((of) =>
      of.toSorted((a, b) => a.receivedAt - b.receivedAt).slice(0, -1),
    );
    expect(copies.filter((a) => !isCut(a))).toEqual([]);
    for (const [n, { To }] of all.entries()) {
      if (n === cancelled) continue;
      const due = n === moved ? movedTo : timeOf(n);
      expect(byRecipient.get(To)?.[0]?.receivedAt).toBeGreaterThanOrEqual(Math.floor(due));
    }
    expect(byRecipient.get(`r${moved}@d${moved % 7}.example`)?.[0]?.receivedAt).toBeLessThan(timeOf(moved));
    const ledger = await system.ledger();
    expect(ledger).toMatchObject({ drift: 0, delivered: MESSAGES - 1, scheduled: 0 });

    const timeline = await system.api("GET", `/messages/outbound/${ids[moved]}/timeline`);
    const entries = timeline.json.Timeline as { Type: string; Reason?: string }[];
    expect(entries.map((e) => e.Type)).toEqual(
      expect.arrayContaining(["Scheduled", "Accepted", "Delivered"]),
    );
    expect((await system.api("GET", `/messages/outbound/${ids[cancelled]}/details`)).status).toBe(422);
    console.log(`${kills.length} kills; ${arrived.length} arrived; second copies ${copies.length}`);
  }, 480_000);

  it("shows one whose time has not come as scheduled, with its content, and not among those that were sent", async () => {
    const posted = await system.api("POST", "/email", {
      ...message("later@far.example", Date.now() + 3_600_000),
      Tag: "later",
    });
    expect(posted).toMatchObject({ status: 200, json: { Message: "OK", SendAt: expect.any(String) } });
    const id = String(posted.json.MessageID);
    const details = await system.api("GET", `/messages/outbound/${id}/details`);
    expect(details.json).toMatchObject({
      Status: "Scheduled",
      Subject: "For later@far.example",
      MessageEvents: [],
    });
    expect(String(details.json.TextBody).trim()).toBe("Hello");
    const timeline = await system.api("GET", `/messages/outbound/${id}/timeline`);
    expect(timeline.json).toMatchObject({
      Status: "Scheduled",
      Recipients: [{ State: "Waiting", Reason: "It is scheduled." }],
      Timeline: [{ Type: "Scheduled" }, { Type: "Waiting" }],
    });
    expect((await system.api("GET", "/messages/outbound?tag=later")).json.TotalCount).toBe(0);
    expect((await system.api("GET", "/email/scheduled")).json).toMatchObject({
      TotalCount: 1,
      Messages: [{ MessageID: id, Status: "Scheduled", SendAt: posted.json.SendAt, Tag: "later" }],
    });
    const moved = await system.api("PATCH", `/email/scheduled/${id}`, { SendAt: "2020-01-01T00:00:00Z" });
    expect(moved.status).toBe(200);
    await system.arrives("later@far.example");
    await until("it is among those that were sent", async () => {
      const { json } = await system.api("GET", "/messages/outbound?tag=later");
      return json.TotalCount === 1;
    });
    expect((await system.api("GET", `/email/scheduled/${id}`)).json).toMatchObject({ ErrorCode: 701 });
  });

  it("keeps what it promised to somebody who is suppressed by then: the message is recorded so", async () => {
    const posted = await system.api("POST", "/email", message("gone@far.example", Date.now() + 3_600_000));
    const id = String(posted.json.MessageID);
    await system.api("POST", "/message-streams/outbound/suppressions", {
      Suppressions: [{ EmailAddress: "gone@far.example" }],
    });
    await system.api("PATCH", `/email/scheduled/${id}`, { SendAt: new Date().toISOString() });
    await until("it is recorded", async () => {
      const { json } = await system.api("GET", `/messages/outbound/${id}/timeline`);
      const [recipient] = json.Recipients as { State: string }[];
      return json.Status === "Sent" && recipient?.State === "Suppressed";
    });
  });

  it("refuses times that are none, or too far, and changes nothing for what is not there", async () => {
    const { total } = { total: (await system.api("GET", "/email/scheduled")).json.TotalCount };
    const tooFar = message("a@far.example", Date.now() + 31 * 86_400_000);
    const noZone = { ...tooFar, SendAt: "2026-12-01T10:00:00" };
    for (const body of [tooFar, noZone])
      expect(await system.api("POST", "/email", body)).toMatchObject({
        status: 422,
        json: { ErrorCode: 300 },
      });
    const batch = await system.api("POST", "/email/batch", [tooFar, noZone]);
    expect(batch.json).toMatchObject([{ ErrorCode: 300 }, { ErrorCode: 300 }]);
    const SendAt = new Date().toISOString();
    for (const id of ["1", crypto.randomUUID(), "..%2F"])
      for (const [method, body] of [["GET"], ["DELETE"], ["PATCH", { SendAt }]] as const) {
        const { status, json } = await system.api(method, `/email/scheduled/${id}`, body);
        expect([status, json.ErrorCode]).toEqual([422, 701]);
      }
    expect((await system.api("GET", "/email/scheduled")).json.TotalCount).toBe(total);
  });
});
