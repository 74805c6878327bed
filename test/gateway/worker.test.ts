/** The Worker, as a gateway asks it: the time that an answer has. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { Worker } from "../../src/gateway/worker.ts";

it("whoever waits for a connection waits no longer than for an answer", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const worker = new Worker(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, "a secret");
  // More than there are connections, for longer than this test may take.
  const others = Array.from({ length: 100 }, () => worker.json("/", undefined, 600_000).catch(String));
  await expect(worker.json("/", undefined, 50)).rejects.toThrow("no answer within 50 ms");
  silent.close();
  silent.closeAllConnections();
  worker.close();
  await Promise.all(others);
});
