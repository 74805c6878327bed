/**
 * Nothing is lost: clients send steadily, by the API and by SMTP, while workerd, the gateway, the world's MX and the whole tree are killed at random.
 * Then the faults stop, and what was acknowledged is compared with what arrived.
 */
import { createTransport } from "nodemailer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

const MESSAGES = 2_000;
const KILLS = 20;
/** Printed, so that a failure can be looked at again with the same choices. */
const SEED = Number(process.env.EDGEPOST_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Witness {
  messageId: string;
  receivedAt: number;
  repliedAt: number | null;
}

/** The processes of a tree do not die in one instant. */
interface Kill {
  at: number;
  until: number;
  part: "workerd" | "gateway" | "world" | "tree";
}

let system: System;

beforeAll(async () => {
  system = await System.start();
}, 60_000);
afterAll(() => system.remove());

function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("killed with mail under way, and asked nothing afterwards", () => {
  it("delivers it: an Outbox that goes to sleep meanwhile does not begin to wait anew when it wakes", async () => {
    const to = Array.from({ length: 60 }, (_, n) => `quiet-${n}@q${n % 5}.example`);
    const batch = to.map((To) => ({ From: "sender@example.com", To, Subject: "s", TextBody: "t" }));
    expect((await system.api("POST", "/email/batch", batch)).status).toBe(200);
    system.killTree();
    await system.startAgain();
    // The inbox alone is looked at, which is not the Outbox's: nothing keeps that one awake.
    const arrived = async () => {
      const found = await system.inbox({ limit: "5000" });
      return found.filter((m) => m.envelope.to.some((address) => address.startsWith("quiet-"))).length;
    };
    await until("all arrive", async () => (await arrived()) >= to.length, 150_000);
  }, 300_000);
});

describe("killed at random", () => {
  it(`delivers every message whose 200 or 250 came, seed ${SEED}`, async () => {
    const random = randomOf(SEED);
    const acknowledged = new Set<string>();
    const kills: Kill[] = [];
    let sending = true;
    let sent = 0;
    let bySmtp = 0;

    const client = async (send: (number: number) => Promise<string | undefined>) => {
      while (acknowledged.size < MESSAGES || kills.length < KILLS) {
        try {
          const id = await send(sent++);
          if (id === undefined) continue;
          acknowledged.add(id);
          if (send === submit) bySmtp++;
        } catch {
          // No answer: nothing was promised. The client waits a moment, as clients do, and sends the next.
          await new Promise((done) => setTimeout(done, 100));
        }
        await new Promise((done) => setTimeout(done, 40));
      }
    };

    const nemesis = async () => {
      while (sending && kills.length < KILLS) {
        await new Promise((done) => setTimeout(done, 1_000 + random() * 1_500));
        const part = (["workerd", "gateway", "world", "workerd", "gateway", "tree"] as const)[
          Math.floor(random() * 6)
        ];
        const kill = { at: Date.now(), until: 0, part: part ?? "tree" };
        if (kill.part === "tree") system.killTree();
        else system.kill(kill.part);
        kill.until = Date.now();
        kills.push(kill);
        if (kill.part === "tree") await system.startAgain();
      }
    };

    await Promise.all([client(post), client(post), client(submit), client(submit), nemesis()]);
    sending = false;

    await until(
      "nobody waits",
      async () => {
        try {
          return (await spooled()) === 0 && (await system.ledger()).waiting === 0;
        } catch {
          // Still coming back from the last kill.
          return false;
        }
      },
      // Two attempts that fell into kills of the MX are followed by a wait of five minutes.
      400_000,
    ).catch(async (error: unknown) => {
      throw new Error(await whoWaits(), { cause: error });
    });
    const ledger = await system.ledger();
    const arrived = await witness();
    const copies = Map.groupBy(arrived, (w) => w.messageId);
    const lost = [...acknowledged].filter((id) => !copies.has(id));
    const twice = [...copies].filter(([, of]) => of.length > 1);
    // A second copy is right only when the first one's session ended between the final dot and its reply, by a kill.
    const unexplained = twice.filter(([, of]) => !isCut(of, kills));
    const kinds = Object.entries(Object.groupBy(kills, (k) => k.part)).map(
      ([part, of]) => `${of?.length} ${part}`,
    );
    console.log(
      `kills: ${kinds.join(", ")}; acknowledged ${acknowledged.size} (${bySmtp} by SMTP), arrived ${copies.size}, lost ${lost.length}, ` +
        `second copies ${twice.length} (unexplained ${unexplained.length}); ledger ${JSON.stringify(ledger)}; ` +
        `unexplained ${JSON.stringify(unexplained)}, kills ${JSON.stringify(kills)}`,
    );
    expect(kills.length).toBeGreaterThanOrEqual(KILLS);
    expect(acknowledged.size).toBeGreaterThanOrEqual(MESSAGES);
    expect(bySmtp).toBeGreaterThan(MESSAGES / 10);
    expect(lost).toEqual([]);
    expect(ledger.drift).toBe(0);
    expect(unexplained).toEqual([]);
    await statisticsAgree(ledger);
  }, 900_000);
});

/** Each recipient that any Outbox took is counted once, however often its flush was killed and began again. */
async function statisticsAgree({
  accepted,
  bounced,
  expired,
  suppressed,
}: Record<string, number>): Promise<void> {
  const counted = async () => (await system.api("GET", "/stats/outbound")).json as Record<string, number>;
  const sent = (accepted ?? 0) - (suppressed ?? 0);
  // What was accepted last is in the archive some seconds later.
  await until("statistics have all", async () => ((await counted()).Sent ?? 0) >= sent, 60_000);
  const { Sent, Bounced } = await counted();
  expect({ Sent, Bounced }).toEqual({ Sent: sent, Bounced: (bounced ?? 0) + (expired ?? 0) });
}

/** The MessageID that the API gave; undefined when it took nothing. */
async function post(number: number): Promise<string | undefined> {
  const { http, serverToken } = system.local;
  const response = await fetch(`${http}/email`, {
    method: "POST",
    headers: { "X-Postmark-Server-Token": serverToken, "Content-Type": "application/json" },
    body: JSON.stringify({
      From: "sender@example.com",
      To: `r${number}@d${number % 7}.example`,
      Subject: `kill ${number}`,
      TextBody: `Message ${number}`,
    }),
    signal: AbortSignal.timeout(10_000),
  });
  const body = (await response.json()) as { ErrorCode: number; MessageID: string };
  return response.status === 200 && body.ErrorCode === 0 ? body.MessageID : undefined;
}

/** The MessageID that the `250` named: a session of its own, since the door may be another one by the next. */
async function submit(number: number): Promise<string | undefined> {
  const { smtp, serverToken } = system.local;
  const door = createTransport({
    host: smtp.host,
    port: smtp.port,
    requireTLS: true,
    tls: { rejectUnauthorized: false },
    auth: { user: serverToken, pass: serverToken },
    socketTimeout: 15_000,
  });
  try {
    const { response } = await door.sendMail({
      from: "sender@example.com",
      to: `r${number}@d${number % 7}.example`,
      subject: `kill ${number}`,
      text: `Message ${number}`,
    });
    return /queued as (\S+)/.exec(response)?.[1];
  } finally {
    door.close();
  }
}

/** For the reader of a failure: what waits, where and why. */
async function whoWaits(): Promise<string> {
  const waiting: string[] = [];
  for (let offset = 0; offset < 2 * MESSAGES && waiting.length < 3; offset += 500) {
    const listed = await system.api("GET", `/messages/outbound?count=500&offset=${offset}`);
    for (const { MessageID } of listed.json.Messages as { MessageID: string }[]) {
      const { json } = await system.api("GET", `/messages/outbound/${MessageID}/timeline`);
      const recipients = json.Recipients as { State: string }[];
      if (recipients.some((r) => r.State === "Waiting")) waiting.push(JSON.stringify(json));
    }
  }
  const ledger = JSON.stringify(await system.ledger());
  return `waiting: ${ledger}, in the spool ${await spooled()}; ${waiting.slice(0, 3).join("\n")}`;
}

/** What the gateway still has for the Worker. */
async function spooled(): Promise<number> {
  const metrics = await (await fetch(`${system.local.gateway.http}/metrics`)).text();
  return Number(/^edgepost_spool_waiting_messages (\d+)/m.exec(metrics)?.[1] ?? Number.NaN);
}

async function witness(): Promise<Witness[]> {
  const text = await (await fetch(`${system.local.world.http}/inbox/witness`)).text();
  return text
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Witness);
}

/**
 * Whether each copy but the last lies at a kill: the MX had it on disk, and the kill came before its reply, or in the moment in
 * which the reply was on its way to the gateway's journal. On a busy machine a process is not scheduled for that long.
 */
const MOMENT_MS = 250;

function isCut(copies: Witness[], kills: Kill[]): boolean {
  const inOrder = [...copies].sort((a, b) => a.receivedAt - b.receivedAt);
  return inOrder.slice(0, -1).every((w) => {
    if (w.repliedAt === null) return true;
    // workerd's death is no excuse: the gateway remembers for it.
    const excuses = kills.filter((k) => k.part !== "workerd");
    return excuses.some((k) => k.until >= w.receivedAt - 5 && k.at <= (w.repliedAt ?? 0) + MOMENT_MS);
  });
}
