/**
 * A process of its own that runs a spool and hands messages to it, to be killed at any moment: a line for each receipt, on
 * stdout, which is what was promised. Arguments: folder, URL of the Worker, number of messages, number at once.
 */
import { writeSync } from "node:fs";
import { Registry } from "prom-client";
import { newSpoolMetrics } from "../../../src/gateway/spool/metrics.ts";
import { Spool } from "../../../src/gateway/spool/spool.ts";
import { Worker } from "../../../src/gateway/worker.ts";

const [, , folder = "", url = "", total = "1", atOnce = "1"] = process.argv;
const worker = new Worker(url, "a secret for the tests");
const limits = { patience: 2_000, forward: 5_000, bytes: 1024 ** 3, freeShare: 0, age: 432_000_000 };
const metrics = newSpoolMetrics(new Registry(), () => spool.state());
const log = (event: string, fields: object) => {
  if (process.env.DRIVER_LOG) console.error(event, JSON.stringify(fields));
};
const spool: Spool = new Spool({ folder, limits, worker, metrics, log });

let sent = 0;
async function session(): Promise<void> {
  while (sent < Number(total)) {
    const id = `driver-${process.pid}-${++sent}`;
    const receipt = await spool.take({
      account: { serverId: 7, region: "weur", shards: 2 },
      envelope: { reversePath: "a@example.com", recipients: [{ address: "b@good.test" }] },
      session: id,
      remoteAddress: "192.0.2.1",
      bytes: Buffer.from(`Subject: ${id}\r\n\r\n${"x".repeat(1_000)}\r\n`),
    });
    // With write(2), so that a promise that was given is seen even if the process dies at once.
    writeSync(1, "reply" in receipt ? `- ${receipt.reply.code}\n` : `+ ${receipt.messageId}\n`);
  }
}

await spool.start();
await Promise.all(Array.from({ length: Number(atOnce) }, session));
if (process.env.DRIVER_UNTIL_EMPTY)
  while (spool.state().waiting.batches > 0) await new Promise((resolve) => setTimeout(resolve, 10));
await spool.end(1_000);
worker.close();
