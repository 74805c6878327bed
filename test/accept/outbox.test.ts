/** An Outbox as an object: when it wakes by itself. */
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "../../src/local/bundle.ts";
import { CLAIM_MS } from "../../src/mail/job.ts";
import type { Outcome } from "../../src/mail/outcome.ts";
import { packedTo } from "./rows.ts";

let miniflare: Miniflare;
beforeAll(async () => {
  miniflare = new Miniflare({
    modules: [
      { type: "ESModule", path: "worker.js", contents: await bundle("test/accept/outbox-worker.ts") },
    ],
    compatibilityDate: "2026-08-04",
    compatibilityFlags: ["nodejs_compat"],
    durableObjects: { OUTBOX: { className: "Outbox", useSQLite: true } },
  } as unknown as ConstructorParameters<typeof Miniflare>[0]);
  await miniflare.ready;
});
afterAll(() => miniflare.dispose());

async function call<T>(method: string, ...args: unknown[]): Promise<T> {
  const response = await miniflare.dispatchFetch(`http://test/${method}`, {
    method: "POST",
    body: JSON.stringify(args),
  });
  return ((await response.json()) as { ok: T }).ok;
}

describe("an Outbox", () => {
  it("wakes when a claim lapses, though its next alarm was far: its consumer may have died with it", async () => {
    const ref = { messageId: "018bcfe5-6800-8000-8000-000000000001", domain: "x.example" };
    const message = { ...packedTo(ref.messageId, "r@x.example"), acceptedAt: Date.now(), giveUpAt: 9e15 };
    await call("accept", { shard: "7/local/0", messages: [{ message, body: "Subject: x" }] });
    const outcome: Outcome = {
      ...{ recipient: "r@x.example", result: "deferred", concerns: "recipient", uncertain: false },
      reply: { code: 451, enhanced: "4.7.1", text: "greylisted" },
      hop: { host: "mx.x.example", address: "192.0.2.1", tls: "" },
      ...{ reason: "", at: Date.now(), transcript: [] },
    };
    const settlement = { ...ref, attempt: 1, transport: "gateway", signature: "", outcomes: [outcome] };
    await call("claim", [ref], "one");
    await call("settle", [settlement]);
    // Once the archive is told, the next thing is the next try, a minute from now.
    while (((await call<number | null>("alarmAt")) ?? 0) < Date.now() + 2 * CLAIM_MS)
      await new Promise((done) => setTimeout(done, 100));
    await call("resume", ["x.example"]);
    const { claims } = await call<{ claims: unknown[] }>("claim", [ref], "two");
    expect(claims).toHaveLength(1);
    expect(await call<number>("alarmAt")).toBeLessThanOrEqual(Date.now() + CLAIM_MS);
  });
});
