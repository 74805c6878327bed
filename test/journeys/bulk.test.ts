/**
 * A mailing of twenty thousand in one request, and the whole tree killed again and again while it is released: each recipient gets one
 * message, and the counts add up.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

const MESSAGES = Number(process.env.EDGEPOST_TEST_BULK ?? 20_000);
/** One at once, and one at each of these shares of what is to be released. */
const KILLS_AT = [0.2, 0.45, 0.75];
/** Their template cannot be rendered: they fail, and nobody gets anything. */
const BROKEN = 20;

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

/** Of a system that may be coming back. */
async function standing(id: string): Promise<Record<string, unknown> | undefined> {
  try {
    const { status, json } = await system.api("GET", `/email/bulk/${id}`);
    return status === 200 ? json : undefined;
  } catch {
    return undefined;
  }
}

describe("a mailing in one request", () => {
  it(`reaches each of ${MESSAGES} recipients once, whatever is killed meanwhile`, async () => {
    const broken = (n: number) => n % (MESSAGES / BROKEN) === 7;
    const posted = await system.api("POST", "/email/bulk", {
      From: "sender@example.com",
      Subject: "News for {{name}}",
      TextBody: "Hello {{name}},{{#each things}} {{.}}{{/each}}",
      Messages: Array.from({ length: MESSAGES }, (_, n) => ({
        To: `r${n}@d${n % 13}.example`,
        TemplateModel: { name: `number ${n}`, things: broken(n) ? { no: "list" } : ["one", "two"] },
      })),
    });
    expect(posted).toMatchObject({ status: 200, json: { Status: "Accepted", TotalMessages: MESSAGES } });
    const id = String(posted.json.Id);
    const began = Date.now();

    const kills: { at: number; until: number }[] = [];
    const kill = async () => {
      const at = Date.now();
      system.killTree();
      kills.push({ at, until: Date.now() });
      await system.startAgain();
    };
    await kill();
    for (const share of KILLS_AT) {
      await until(
        `${share} of the messages are released`,
        async () => Number((await standing(id))?.ReleasedCount ?? 0) >= share * MESSAGES,
        120_000,
      );
      await kill();
    }
    await until("all is released", async () => (await standing(id))?.Status === "Completed", 180_000);
    const released = Date.now() - began;
    await until("nobody waits", async () => (await system.ledger()).waiting === 0, 400_000);

    const status = await standing(id);
    const ledger = await system.ledger();
    const arrived = await arrivals();
    const byRecipient = Map.groupBy(arrived, (a) => a.to[0] ?? "");
    // Two messages to one recipient were released twice; one message may arrive twice when its session was cut.
    const twice = [...byRecipient.values()].filter((of) => new Set(of.map((a) => a.messageId)).size > 1);
    const copies = [...byRecipient.values()].filter((of) => of.length > 1);
    const unexplained = copies.filter((of) => !isCut(of, kills));
    console.log(
      `${kills.length} kills; ${arrived.length} arrived at ${byRecipient.size} addresses, second copies ${copies.length}, ` +
        `all released after ${released} ms; ${JSON.stringify(status)}; ledger ${JSON.stringify(ledger)}`,
    );
    expect(status).toMatchObject({
      Status: "Completed",
      PercentageCompleted: 100,
      ReleasedCount: MESSAGES - BROKEN,
      FailedCount: BROKEN,
    });
    expect(byRecipient.size).toBe(MESSAGES - BROKEN);
    expect(twice).toEqual([]);
    expect(unexplained).toEqual([]);
    expect(ledger.drift).toBe(0);
    expect(ledger.accepted).toBe(MESSAGES);
    expect(ledger.delivered).toBe(MESSAGES - BROKEN);

    await until("the archive has the bounces of what failed", async () => {
      const { json } = await system.api(
        "GET",
        "/bounces?count=50&messagestream=broadcast&type=TemplateRenderingFailed",
      );
      return json.TotalCount === BROKEN;
    });
  }, 900_000);
});

/** Whether each copy but the last lies at a kill: between the final dot and its reply, or in the moment after it. */
const MOMENT_MS = 250;

function isCut(copies: Arrival[], kills: { at: number; until: number }[]): boolean {
  const inOrder = [...copies].sort((a, b) => a.receivedAt - b.receivedAt);
  return inOrder.slice(0, -1).every(({ receivedAt, repliedAt }) => {
    if (repliedAt === null) return true;
    return kills.some((k) => k.until >= receivedAt - 5 && k.at <= repliedAt + MOMENT_MS);
  });
}
