/**
 * The Worker goes away for half a minute under load: once frozen, so that requests hang, and once killed and kept down by a freeze at
 * each return. No session is refused, 250s go on from the gateway's own disk, and once it is back the spool empties and each
 * message arrives once.
 */
import { readFileSync } from "node:fs";
import { createTransport, type Transporter } from "nodemailer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gatewayMetric, witness } from "./smtp-witness.ts";
import { System, until } from "./system.ts";

const AWAY_MS = 30_000;
/** Before and after, so that the change is under load. */
const AROUND_MS = 3_000;
const SESSIONS = 5;
/** Of one session, between its messages. */
const PAUSE_MS = 100;
/** New sessions come all the time as well: each of these sends one message and quits. */
const CALLER_PAUSE_MS = 500;

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));

describe("the Worker away for half a minute under load", () => {
  it(
    "frozen: its connections are there and nothing answers",
    () =>
      away("frozen", async () => {
        const { workerd } = system.local.pids;
        process.kill(workerd, "SIGSTOP");
        await wait(AWAY_MS);
        process.kill(workerd, "SIGCONT");
      }),
    240_000,
  );

  it(
    "killed again and again: its port is closed, or just open",
    () =>
      away("killed", async () => {
        for (const end = Date.now() + AWAY_MS; Date.now() < end; await wait(200)) system.kill("workerd");
      }),
    240_000,
  );
});

async function away(name: string, absence: () => Promise<void>): Promise<void> {
  const { smtp, serverToken, from } = system.local;
  const options = {
    host: "127.0.0.1",
    port: smtp.port,
    requireTLS: true,
    auth: { user: serverToken, pass: serverToken },
    tls: { ca: readFileSync(smtp.caFile) },
    // Far beyond the patience after which a message is spooled.
    socketTimeout: 60_000,
  };
  const acknowledged = new Map<string, { id: string; at: number }>();
  const refusals: string[] = [];
  let loading = true;
  let number = 0;
  const one = async (transport: Transporter) => {
    const mine = number++;
    const to = `${name}${mine}@d${mine % 7}.example`;
    try {
      const info = (await transport.sendMail({
        from,
        to,
        subject: `Away ${mine}`,
        text: "Still here.\n",
      })) as {
        response: string;
      };
      acknowledged.set(to, { id: /[0-9a-f-]{36}/.exec(info.response)?.[0] ?? "", at: Date.now() });
    } catch (error) {
      refusals.push(String(error));
    }
  };
  const session = async () => {
    const pool = createTransport({ ...options, pool: true, maxConnections: 1, maxMessages: 1e9 });
    for (; loading; await wait(PAUSE_MS)) await one(pool);
    pool.close();
  };
  const callers = async () => {
    const calls: Promise<void>[] = [];
    for (; loading; await wait(CALLER_PAUSE_MS)) calls.push(one(createTransport(options)));
    await Promise.all(calls);
  };
  const load = Promise.all([...Array.from({ length: SESSIONS }, session), callers()]);

  await wait(AROUND_MS);
  const spooledBefore = await spooledInAll();
  const wentAt = Date.now();
  await absence();
  const cameAt = Date.now();
  await wait(AROUND_MS);
  loading = false;
  await load;

  const meanwhile = [...acknowledged.values()].filter(({ at }) => at > wentAt + AWAY_MS / 2 && at < cameAt);
  await until("the spool is empty", async () => (await spooled()) === 0, 60_000);
  await until(
    "nobody waits",
    async () => {
      try {
        return (await system.ledger()).waiting === 0;
      } catch {
        // Still coming back.
        return false;
      }
    },
    60_000,
  );
  const ids = new Map<string, string[]>();
  for (const { to, messageId } of await witness(system))
    for (const address of to) ids.set(address, [...(ids.get(address) ?? []), messageId]);
  const wrong = [...acknowledged].filter(([to, { id }]) => ids.get(to)?.join() !== id);
  console.log(
    `${name}: ${acknowledged.size} acknowledged, ${meanwhile.length} of them in the second half of the absence; ` +
      `refused ${refusals.length}, lost or twice ${wrong.length}`,
  );
  expect(refusals).toEqual([]);
  expect((await spooledInAll()) - spooledBefore).toBeGreaterThan(SESSIONS);
  // By then the first spooled messages have shown that the Worker is away, and nobody waits for it any more.
  expect(meanwhile.length).toBeGreaterThan(SESSIONS);
  expect(wrong).toEqual([]);
  expect(await gatewayMetric(system, "edgepost_spool_held_batches")).toBe(0);
}

async function spooledInAll(): Promise<number> {
  const count = await gatewayMetric(system, 'edgepost_intake_messages_total{way="spooled"}');
  // A counter that was never counted is not shown.
  return Number.isNaN(count) ? 0 : count;
}

function spooled(): Promise<number> {
  return gatewayMetric(system, "edgepost_spool_waiting_messages");
}
