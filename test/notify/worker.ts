/** The room in workerd, for workerd.test.ts: makes the call that it is sent; "stream" answers with a dump of so many rows. */
import { dumpResponse } from "../../src/api/suppression-dump.ts";
import { callHook, type HookCall } from "../../src/notify/call.ts";
import type { Suppression } from "../../src/suppress/search.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    if (request.method === "GET") return dump(Number(new URL(request.url).pathname.slice(1)));
    const call = (await request.json()) as HookCall;
    const needs = {
      fetch: (url: string, init: RequestInit) => fetch(url, init),
      addressesOf: async () => [],
      allowPrivate: true,
    };
    return Response.json(await callHook(call, needs));
  },
};

/** Rows whose addresses are numbers; the directory is played, and is away behind the 200,000th. */
function dump(rows: number): Promise<Response> {
  return dumpResponse(async (after, limit) => {
    const from = after === undefined ? 0 : Number.parseInt(after, 10) + 1;
    if (from >= 200_000) throw new Error("the directory is away");
    const count = Math.min(limit, rows - from);
    return Array.from({ length: count }, (_, i): Suppression => {
      return { email: `${from + i}@x.example`, reason: "HardBounce", origin: "Recipient", createdAt: 0 };
    });
  });
}
