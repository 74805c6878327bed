/** The real Worker, and a way to put many messages into its archive as an Outbox does: through the gate for facts, a batch a call. */
import type { Env } from "../../src/bindings.ts";
import { record } from "../../src/track/record.ts";
import worker from "../../src/worker.ts";
import { type Plan, recordOf, rowOf } from "./archive-rows.ts";

export * from "../../src/worker.ts";

export interface ArchiveOrder extends Plan {
  serverId: number;
  /** Numbers of messages: the first, and the one after the last. */
  from: number;
  to: number;
  batch: number;
}

async function write(env: Env, { serverId, from, to, batch, ...plan }: ArchiveOrder): Promise<void> {
  const needs = { archive: env.ARCHIVE, directory: env.DIRECTORY, now: Date.now };
  for (let first = from; first < to; first += batch) {
    const numbers = Array.from({ length: Math.min(batch, to - first) }, (_, i) => first + i);
    await record(
      needs,
      numbers.map((n) => recordOf(serverId, rowOf(n, plan))),
    );
  }
}

export default {
  ...worker,
  async fetch(
    request: Request<unknown, IncomingRequestCfProperties>,
    env: Env,
    ctx: ExecutionContext,
  ): Promise<Response> {
    if (new URL(request.url).pathname !== "/bench/archive") return worker.fetch(request, env, ctx);
    await write(env, await request.json<ArchiveOrder>());
    return new Response("written");
  },
};
