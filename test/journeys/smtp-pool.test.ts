/** An application's pool of connections, as frameworks keep one: 5,000 messages over ten sessions; none is lost and none comes twice. */
import { readFileSync } from "node:fs";
import { createTransport } from "nodemailer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { witness } from "./smtp-witness.ts";
import { System, until } from "./system.ts";

const MESSAGES = 5_000;
const CONNECTIONS = 10;
const DOMAINS = 20;

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

it(`${MESSAGES} messages over a pool of ${CONNECTIONS} arrive once each`, async () => {
  const { smtp, serverToken, from } = system.local;
  const pool = createTransport({
    pool: true,
    host: "127.0.0.1",
    port: smtp.port,
    requireTLS: true,
    maxConnections: CONNECTIONS,
    maxMessages: Number.POSITIVE_INFINITY,
    auth: { user: serverToken, pass: serverToken },
    tls: { ca: readFileSync(smtp.caFile) },
  });
  const acknowledged = new Map<string, string>();
  const lane = async (first: number) => {
    for (let i = first; i < MESSAGES; i += CONNECTIONS) {
      const to = `pool${i}@d${i % DOMAINS}.example`;
      const { response } = await pool.sendMail({ from, to, subject: `Pool ${i}`, text: `Message ${i}\n` });
      acknowledged.set(to, /[0-9a-f-]{36}/.exec(response)?.[0] ?? response);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, first) => lane(first)));
  pool.close();
  expect(new Set(acknowledged.values()).size).toBe(MESSAGES);

  await until("nobody waits", async () => (await system.ledger()).waiting === 0, 120_000);
  const ids = new Map<string, string[]>();
  for (const { to, messageId } of await witness(system))
    for (const address of to) ids.set(address, [...(ids.get(address) ?? []), messageId]);
  // The very message that the 250 named, and no other.
  const wrong = [...acknowledged].filter(([to, id]) => ids.get(to)?.join() !== id);
  expect(wrong).toEqual([]);
  expect(ids.size).toBe(MESSAGES);
}, 300_000);
