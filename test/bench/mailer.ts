/**
 * The floor of egress: nodemailer's pool sending ready-made messages from memory, with no queue and nothing remembered. A child of the
 * bench, since its CPU is the floor's.
 */
import { createTransport } from "nodemailer";
import { type MailSpec, rawMessage, recipient } from "./mail.ts";

export interface MailerOrder {
  port: number;
  connections: number;
  /** Not measured: opens the connections and lets the code get warm, which takes nodemailer some 3,000 messages. */
  warmUp: number;
  messages: number;
  mail: MailSpec;
}

export interface MailerResult {
  sent: number;
  failure: string;
  seconds: number;
  p50: number;
  p99: number;
}

async function run({ port, connections, warmUp, messages, mail }: MailerOrder): Promise<MailerResult> {
  const pool = createTransport({
    pool: true,
    host: "127.0.0.1",
    port,
    maxConnections: connections,
    maxMessages: Number.POSITIVE_INFINITY,
    // Opportunistic TLS, as the gateway does it: whatever certificate.
    tls: { rejectUnauthorized: false },
  });
  const latencies: number[] = [];
  const result: MailerResult = { sent: 0, failure: "", seconds: 0, p50: 0, p99: 0 };
  // One text for all, made before: the pool is measured, not its caller.
  const raw = Buffer.from(rawMessage(mail, 0));
  let number = -warmUp;
  const lane = async (until: number) => {
    while (number < until) {
      const mine = number++;
      const envelope = { from: mail.from, to: [recipient(mail, mine)] };
      const start = performance.now();
      try {
        await pool.sendMail({ envelope, raw });
        if (mine < 0) continue;
        result.sent++;
        latencies.push(performance.now() - start);
      } catch (error) {
        // Shown beside the figure, which then says nothing.
        result.failure ||= String(error);
      }
    }
  };
  const lanes = (until: number) => Promise.all(Array.from({ length: connections }, () => lane(until)));
  await lanes(0);
  process.send?.({ measuring: true });
  const start = performance.now();
  await lanes(messages);
  result.seconds = (performance.now() - start) / 1_000;
  process.send?.({ measuring: false });
  pool.close();
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { ...result, p50: at(0.5) ?? 0, p99: at(0.99) ?? 0 };
}

process.on("message", async (order: MailerOrder) => {
  process.send?.(await run(order));
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
