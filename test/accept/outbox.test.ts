/** An Outbox as an object: when it wakes by itself. */
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "../../src/local/bundle.ts";
import { CLAIM_MS, type JobRef } from "../../src/mail/job.ts";
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

/** A message is accepted, and deferred at its first try; the archive is told. Its next try is a minute from now. */
async function deferred(number: number): Promise<JobRef> {
  const ref = { messageId: `018bcfe5-6800-8000-8000-00000000000${number}`, domain: `d${number}.example` };
  const packed = packedTo(ref.messageId, `r@${ref.domain}`);
  const message = { ...packed, acceptedAt: Date.now(), giveUpAt: 9e15 };
  await call("accept", { shard: "7/local/0", messages: [{ message, body: "Subject: x" }] });
  await call("claim", [ref], "first");
  await defer(ref, 1);
  while (((await call<number | null>("alarmAt")) ?? 0) < Date.now() + 2 * CLAIM_MS)
    await new Promise((done) => setTimeout(done, 100));
  return ref;
}

async function defer(ref: JobRef, attempt: number): Promise<void> {
  const outcome: Outcome = {
    ...{ recipient: `r@${ref.domain}`, result: "deferred", concerns: "recipient", uncertain: false },
    reply: { code: 451, enhanced: "4.7.1", text: "greylisted" },
    hop: { host: "mx.example", address: "192.0.2.1", tls: "" },
    ...{ reason: "", at: Date.now(), transcript: [] },
  };
  await call("settle", [{ ...ref, attempt, transport: "gateway", signature: "", outcomes: [outcome] }]);
}

async function claims(ref: JobRef, claimer: string): Promise<number> {
  return (await call<{ claims: unknown[] }>("claim", [ref], claimer)).claims.length;
}

describe("an Outbox", () => {
  it("wakes when a claim lapses, though its next alarm was far: its consumer may have died with it", async () => {
    const ref = await deferred(1);
    await call("resume", [ref.domain]);
    expect(await claims(ref, "second")).toBe(1);
    expect(await call<number>("alarmAt")).toBeLessThanOrEqual(Date.now() + CLAIM_MS);
    await defer(ref, 2);
  });

  it("tries a domain that is said to be back, and not again for being told so again at once", async () => {
    const ref = await deferred(2);
    await call("resume", [ref.domain]);
    expect(await claims(ref, "second")).toBe(1);
    await defer(ref, 2);
    await call("resume", [ref.domain]);
    expect(await claims(ref, "third")).toBe(0);
  });
});
