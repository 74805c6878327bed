/**
 * A Postfix with our front door as its relayhost, by TLS and with a login, while the gateway and workerd are killed at random. All
 * that it queued arrives. A second copy is right only where Postfix itself says that it never heard the reply to the final dot.
 */
import { createTransport } from "nodemailer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Postfix, postfixLacks } from "./postfix.ts";
import { type Witness, witness } from "./smtp-witness.ts";
import { System, until } from "./system.ts";

const MESSAGES = 500;
const KILLS = 12;
/** Printed, so that a failure can be looked at again with the same choices. */
const SEED = Number(process.env.EDGEPOST_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Of Postfix towards us; so many messages can lose their reply by one kill. */
const SESSIONS = 5;

const lacks = postfixLacks();

describe.skipIf(lacks !== undefined)(`Postfix as a client${lacks ? ` (${lacks})` : ""}`, () => {
  let system: System;
  let postfix: Postfix;

  beforeAll(async () => {
    system = await System.start();
    const { smtp, serverToken } = system.local;
    const door = `[127.0.0.1]:${smtp.port}`;
    postfix = await Postfix.start(
      {
        relayhost: door,
        smtp_tls_security_level: "secure",
        smtp_tls_secure_cert_match: "localhost",
        smtp_tls_CAfile: smtp.caFile,
        smtp_tls_loglevel: "1",
        smtp_tls_connection_reuse: "yes",
        smtp_sasl_auth_enable: "yes",
        smtp_sasl_security_options: "noanonymous",
        smtp_sasl_password_maps: "texthash:$config_directory/passwords",
        default_destination_concurrency_limit: String(SESSIONS),
        initial_destination_concurrency: String(SESSIONS),
        // The default would wait minutes after each kill.
        minimal_backoff_time: "1s",
        maximal_backoff_time: "2s",
        queue_run_delay: "1s",
        default_destination_concurrency_failed_cohort_limit: "1000",
      },
      { passwords: `${door} ${serverToken}:${serverToken}\n` },
    );
  }, 100_000);
  afterAll(async () => {
    await postfix?.remove();
    await system?.remove();
  });

  it(`delivers all that it queued, seed ${SEED}`, async () => {
    const random = randomOf(SEED);
    const kills: Kill[] = [];
    const nemesis = async () => {
      while (kills.length < KILLS) {
        await new Promise((done) => setTimeout(done, 600 + random() * 1_400));
        const part = random() < 0.6 ? "gateway" : "workerd";
        system.kill(part);
        kills.push({ part, at: Date.now() });
      }
    };
    await Promise.all([queueAll(postfix), nemesis()]);

    await until("Postfix has handed over all", () => postfix.queued === 0, 300_000).catch((error: Error) => {
      throw new Error(`${error.message}\n${postfix.log.slice(-6_000)}`, { cause: error });
    });
    await until(
      "nobody waits",
      async () => {
        try {
          return (await system.ledger()).waiting === 0 && (await arrived(system)).size >= MESSAGES;
        } catch {
          // Still coming back from the last kill.
          return false;
        }
      },
      120_000,
    );

    const copies = await arrived(system);
    const unheard = withoutReply(postfix.log);
    const again = [...copies].filter(([, ids]) => ids.size > 1);
    const unexplained = again.filter(([to, ids]) => ids.size - 1 > (unheard.get(to) ?? 0));
    const moreOften = repeats(await witness(system));
    const uncut = moreOften.filter((of) => !isCut(of, kills));
    const count = (part: string) => kills.filter((k) => k.part === part).length;
    console.log(
      `kills: ${count("gateway")} gateway, ${count("workerd")} workerd; arrived ${copies.size} of ${MESSAGES}; ` +
        `sessions cut after the final dot ${[...unheard.values()].reduce((a, b) => a + b, 0)}, of which taken, ` +
        `and so sent twice by Postfix ${again.length} (unexplained ${unexplained.length}); ` +
        `sent twice by us, as a kill cut the session with the MX, ${moreOften.length} (unexplained ${uncut.length})`,
    );
    expect(uncut).toEqual([]);
    expect(copies.size).toBe(MESSAGES);
    expect(unexplained).toEqual([]);
    expect(again.length).toBeLessThanOrEqual(count("gateway") * SESSIONS);
    // Else this says nothing about TLS.
    expect(postfix.log).toMatch(/Verified TLS connection established to 127\.0\.0\.1/);
    expect(postfix.log).not.toContain("status=bounced");
  }, 600_000);
});

interface Kill {
  part: "gateway" | "workerd";
  at: number;
}

/** Copies of one message, where there are several. */
function repeats(all: Witness[]): Witness[][] {
  const copies = Map.groupBy(all, (w) => `${w.messageId} ${w.to.join()}`);
  return [...copies.values()].filter((of) => of.length > 1);
}

/** The reply may still have been on its way to the gateway's journal; on a busy machine that takes so long. */
const MOMENT_MS = 250;

/** Whether each copy but the last met a kill of the gateway between the MX's disk and the journal (RFC 1047). */
function isCut(copies: Witness[], kills: Kill[]): boolean {
  const inOrder = copies.toSorted((a, b) => a.receivedAt - b.receivedAt);
  const cuts = kills.filter((k) => k.part === "gateway");
  return inOrder
    .slice(0, -1)
    .every(
      ({ receivedAt, repliedAt }) =>
        repliedAt === null || cuts.some((k) => k.at >= receivedAt - 5 && k.at <= repliedAt + MOMENT_MS),
    );
}

function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Over a few seconds, so that kills fall among them. */
async function queueAll({ port }: Postfix): Promise<void> {
  const pool = createTransport({ pool: true, host: "127.0.0.1", port, ignoreTLS: true, maxConnections: 2 });
  for (let i = 0; i < MESSAGES; i++) {
    await pool.sendMail({
      from: "sender@example.com",
      to: `p${i}@d${i % 7}.example`,
      subject: `Postfix ${i}`,
      text: `Message ${i}\n${"x".repeat(70)}\n`.repeat(20),
    });
    await new Promise((done) => setTimeout(done, 20));
  }
  pool.close();
}

/** MessageIDs of the inbox, by recipient: each is one message that we took. */
async function arrived(system: System): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  for (const { to, messageId } of await witness(system))
    for (const address of to) found.set(address, (found.get(address) ?? new Set()).add(messageId));
  return found;
}

/** How often Postfix never heard what became of a message that it had sent whole, by recipient. */
function withoutReply(log: string): Map<string, number> {
  const found = new Map<string, number>();
  const lines = log.matchAll(
    /to=<([^>]+)>.*while sending end of data -- message may be sent more than once/g,
  );
  for (const [, to] of lines) found.set(to ?? "", (found.get(to ?? "") ?? 0) + 1);
  return found;
}
