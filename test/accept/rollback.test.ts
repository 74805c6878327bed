/** A statement of an Outbox that throws, each in turn: nobody is told of mail that was not written, none of it is sent, and the ledger holds. */
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AcceptRequest } from "../../src/accept/needs.ts";
import { PACK_MESSAGES, type PackedMessage } from "../../src/accept/pack.ts";
import { bundle } from "../../src/local/bundle.ts";
import type { Settlement } from "../../src/mail/job.ts";

interface Told {
  ledger: { accepted: number; counts: { waiting: number; delivered: number; expired: number } };
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

function packed(n: number, count = 1): Omit<PackedMessage, "body"> {
  const recipients = Array.from({ length: count }, (_, r) => `r${n}.${r}@x.example`);
  return {
    id: `018bcfe5-6800-8000-8000-${String(n).padStart(12, "0")}`,
    ...{ acceptedAt: 1_000, stream: "outbound", subject: "s", tag: "" },
    summary: {
      from: { email: "a@example.com", name: "" },
      ...{ to: [], cc: [], bcc: [], attachments: [], metadata: {}, recipients },
      ...{ trackOpens: false, trackLinks: "None", sandboxed: false },
    },
    groups: [{ domain: "x.example", recipients }],
    ...{ fromDomain: "example.com", returnPathDomain: "bounces.example.com", bounceType: "" },
    giveUpAt: 9e15,
  };
}

const MANY = PACK_MESSAGES + 1;
const THOUSAND = 1_000;

/** How an attempt at all recipients of the message ended, after a session as long as they are. */
function settlementOf({ id, groups: [group] }: Omit<PackedMessage, "body">, attempt: number): Settlement {
  const result = attempt === 1 ? "deferred" : "delivered";
  const reply = { code: attempt === 1 ? 451 : 250, enhanced: "", text: "y".repeat(150) };
  const transcript = Array.from({ length: 8 }, () => ({ at: 1, command: "MAIL FROM:<a@b.example>", reply }));
  const hop = { host: "mx.x.example", address: "192.0.2.1", tls: "" };
  const same = {
    result,
    reply,
    hop,
    transcript,
    reason: "",
    concerns: "recipient",
    uncertain: false,
    at: 1,
  } as const;
  // One is left each time.
  const outcomes = (group?.recipients ?? []).slice(1).map((recipient) => ({ recipient, ...same }));
  return { messageId: id, domain: "x.example", attempt, transport: "gateway", signature: "", outcomes };
}

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

it("an outcome that was not written is not said to be settled, however often it is told", async () => {
  const call = object();
  const message = packed(++made, 2);
  await call("accept", [{ shard: "7/local/0", messages: [{ message, body: "Subject: x" }] }]);
  await call("failAfter", 0);
  for (let n = 0; n < 3; n++) expect(await call("settle", [settlementOf(message, 1)])).toContain("full");
  await call("failAfter", null);
  expect(await call("settle", [settlementOf(message, 1)])).toBe("done");
  expect(await call("settle", [settlementOf(message, 2)])).toBe("done");
  const { now, anew } = await call<State>("state");
  expect(anew.ledger).toMatchObject({ accepted: 2, counts: { waiting: 1, delivered: 1 } });
  expect(now).toEqual(anew);
});

it("all that has waited too long ends with one statement a pack", async () => {
  const call = object();
  await call("accept", [requestOf(MANY)]);
  await call("failAfter", 2);
  expect(await call("expireAll")).toBe("done");
  await call("failAfter", null);
  expect((await call<State>("state")).anew.ledger.counts).toMatchObject({ waiting: 0, expired: MANY });
});

it("a key is free again after a day, whether or not anything woke the Outbox since", async () => {
  const call = object();
  await call("accept", [requestOf(1, "k")]);
  await call("age", 86_400_001);
  await call("accept", [requestOf(1, "k")]);
  await call("accept", [requestOf(1, "k")]);
  expect((await call<State>("state")).anew.size).toBe(2);
});

describe("a row has room", () => {
  it("for what was said to each of a thousand recipients", async () => {
    const call = object();
    const message = packed(++made, THOUSAND);
    await call("accept", [{ shard: "7/local/0", messages: [{ message, body: "x".repeat(990_000) }] }]);
    expect(await call("settle", [settlementOf(message, 1)])).toBe("done");
    expect(await call("settle", [settlementOf(message, 2)])).toBe("done");
    const { now, anew } = await call<State>("state");
    expect(anew.ledger).toMatchObject({ counts: { waiting: 1, delivered: THOUSAND - 1 } });
    expect(now).toEqual(anew);
  });

  it("for a batch of messages to a thousand each", async () => {
    const call = object();
    const messages = Array.from({ length: 30 }, () => ({ message: packed(++made, THOUSAND), body: "x" }));
    expect(await call("accept", [{ shard: "7/local/0", messages }])).toEqual([true]);
    expect((await call<State>("state")).anew.ledger.accepted).toBe(30 * THOUSAND);
  });
});
