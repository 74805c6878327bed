/** A statement of an Outbox that throws, each in turn: nobody is told of mail that was not written, none of it is sent, and the ledger holds. */
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AcceptRequest } from "../../src/accept/needs.ts";
import { PACK_MESSAGES, type PackedMessage } from "../../src/accept/pack.ts";
import { bundle } from "../../src/local/bundle.ts";

interface Told {
  ledger: { accepted: number; counts: { waiting: number; delivered: number } };
  isUnused: boolean;
  messages: string[];
  size: number;
  lines: number;
  withoutLine: number;
}
interface State {
  now: Told;
  anew: Told;
  committed: number;
}

let miniflare: Miniflare;
let made = 0;
beforeAll(async () => {
  miniflare = new Miniflare({
    modules: [
      { type: "ESModule", path: "worker.js", contents: await bundle("test/accept/rollback-worker.ts") },
    ],
    compatibilityDate: "2026-08-04",
    compatibilityFlags: ["nodejs_compat"],
    durableObjects: { OBJECT: { className: "Failing", useSQLite: true } },
  } as unknown as ConstructorParameters<typeof Miniflare>[0]);
  await miniflare.ready;
});
afterAll(() => miniflare.dispose());

function object() {
  const name = `o${++made}`;
  return async <T>(method: string, ...args: unknown[]): Promise<T> => {
    const response = await miniflare.dispatchFetch(`http://test/${name}/${method}`, {
      method: "POST",
      body: JSON.stringify(args),
    });
    return ((await response.json()) as { ok: T }).ok;
  };
}

function requestOf(count: number, key?: string): Omit<AcceptRequest, "messages"> & { messages: unknown[] } {
  const messages = Array.from({ length: count }, () => ({ message: packed(++made), body: "Subject: x" }));
  return { shard: "7/local/0", messages, ...(key && { idempotency: { key, bodyHash: "h" } }) };
}

function packed(n: number): Omit<PackedMessage, "body"> {
  const email = `r${n}@x.example`;
  return {
    id: `018bcfe5-6800-8000-8000-${String(n).padStart(12, "0")}`,
    ...{ acceptedAt: 1_000, stream: "outbound", subject: "s", tag: "" },
    summary: {
      from: { email: "a@example.com", name: "" },
      ...{ to: [], cc: [], bcc: [], attachments: [], metadata: {}, recipients: [email] },
      ...{ trackOpens: false, trackLinks: "None", sandboxed: false },
    },
    groups: [{ domain: "x.example", recipients: [email] }],
    ...{ fromDomain: "example.com", returnPathDomain: "bounces.example.com", bounceType: "" },
    giveUpAt: 9e15,
  };
}

const MANY = PACK_MESSAGES + 1;

describe("a transaction that fails", () => {
  it("accepts nothing, whichever of its statements it is, and the next is accepted as ever", async () => {
    let failed = 0;
    for (let statements = 0; ; statements++) {
      const call = object();
      await call("accept", [requestOf(2)]);
      const before = await call<State>("state");
      expect(before.now).toEqual(before.anew);
      await call("failAfter", statements);
      const taken = await call<boolean[]>("accept", [requestOf(MANY, "one"), requestOf(MANY, "two")]);
      await call("failAfter", null);
      const after = await call<State>("state");
      expect(after.now).toEqual(after.anew);
      if (taken.every((is) => is)) break;
      failed++;
      expect(taken).toEqual([false, false]);
      expect(after).toEqual(before);
      expect(await call("accept", [requestOf(3, "one")])).toEqual([true]);
      const then = await call<State>("state");
      expect(then.now).toEqual(then.anew);
      expect(then.now).toMatchObject({ size: 5, lines: 5, withoutLine: 0, ledger: { accepted: 5 } });
    }
    // Two answers looked for and kept, and three packs.
    expect(failed).toBe(7);
  });

  it("leaves an Outbox unused that was", async () => {
    const call = object();
    await call("failAfter", 1);
    expect(await call("accept", [requestOf(MANY)])).toEqual([false]);
    await call("failAfter", null);
    expect((await call<State>("state")).now).toMatchObject({ isUnused: true, size: 0, lines: 0 });
  });

  it.each(["remove", "forget"])(
    "%s: what was to go is there, counted once, and goes the next time",
    async (way) => {
      let failed = 0;
      for (let statements = 0; ; statements++) {
        const call = object();
        await call("accept", [requestOf(2)]);
        await call("deliverAll");
        const before = await call<State>("state");
        await call("failAfter", statements);
        const done = await call<string>(way);
        await call("failAfter", null);
        const after = await call<State>("state");
        const { accepted, counts } = after.now.ledger;
        expect([accepted, counts.delivered]).toEqual([2, 2]);
        expect(after.now.ledger).toEqual(after.anew.ledger);
        if (done === "done") break;
        failed++;
        expect(after.now.messages).toEqual(before.now.messages);
        expect(await call(way)).toBe("done");
        const then = await call<State>("state");
        expect(then.now.ledger.counts.delivered).toBe(2);
        expect(then.now.messages).toHaveLength(way === "remove" ? 0 : 1);
      }
      expect(failed).toBeGreaterThan(1);
    },
  );
});
