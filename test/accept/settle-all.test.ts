/** Settlements as an Outbox takes them: with the rows of their packs, which may fail to be written, and with their lines. */
import { describe, expect, it } from "vitest";
import { expireGroups, settleAll } from "../../src/accept/settle.ts";
import type { Settlement } from "../../src/mail/job.ts";
import type { Outcome } from "../../src/mail/outcome.ts";
import { Rows } from "./rows.ts";

const T = 2_000_000;

function settlement(messageId: string, of: Partial<Outcome>): Settlement {
  const outcome: Outcome = {
    ...{ recipient: `${messageId}@x.example`, result: "delivered", concerns: "recipient", uncertain: false },
    reply: { code: 250, enhanced: "2.0.0", text: "" },
    hop: { host: "mx.x.example", address: "192.0.2.1", tls: "" },
    ...{ reason: "", at: T, transcript: [] },
    ...of,
  };
  return {
    messageId,
    domain: "x.example",
    attempt: 1,
    transport: "gateway",
    signature: "",
    outcomes: [outcome],
  };
}

describe("settling", () => {
  it("that could not be written is written when it is said again", () => {
    const rows = new Rows();
    const { id } = rows.add("m0");
    const shelf = rows.shelf();
    const context = { store: rows.store, shelf, now: T, random: () => 0.5 };
    const said = [settlement("m0", {})];
    rows.failures = 1;
    expect(() => settleAll(said, context)).toThrow("full");
    expect(rows.written).toEqual([]);
    settleAll(said, context);
    expect(rows.written).toEqual([id]);
    expect(rows.read(id)?.progress[0]?.groups[0]).toMatchObject({
      attempts: 1,
      recipients: [{ state: "delivered" }],
    });
    settleAll(said, context);
    expect(rows.written).toEqual([id]);
  });

  it("that no attempt was made leaves alone the one that another makes meanwhile", () => {
    const rows = new Rows();
    rows.add("m0");
    const shelf = rows.shelf();
    const { lines } = shelf;
    lines.lapse(T);
    const away = settlement("m0", {
      result: "deferred",
      concerns: "transport",
      reason: "gateway unreachable",
    });
    const say = (now: number) =>
      settleAll([{ ...away, claimer: "one" }], { store: rows.store, shelf, now, random: () => 0.5 });
    const ref = { messageId: "m0", domain: "x.example" };
    lines.claim(ref, "one", T);
    const due = say(T) ?? 0;
    expect(due).toBeGreaterThan(T);
    lines.lapse(due);
    expect(lines.claim(ref, "two", due)).toBe(true);
    expect(say(due + 1)).toBeUndefined();
    expect(lines.isClaimed(ref, due + 1)).toBe(true);
    expect(lines.claim(ref, "three", due + 1)).toBe(false);
  });

  it("what a domain answers lets more of its mail go after a hold, though it takes none; what keeps it from answering does not", () => {
    const ends: [Partial<Outcome>, goes: number][] = [
      [{ result: "bounced", reply: { code: 550, enhanced: "5.1.1", text: "no such user" } }, 2],
      [{ result: "deferred", reply: { code: 451, enhanced: "4.2.0", text: "greylisted" } }, 2],
      [
        { result: "deferred", concerns: "destination", reply: { code: 421, enhanced: "", text: "too many" } },
        1,
      ],
      [{ result: "deferred", concerns: "destination", reply: { code: 0, enhanced: "4.4.1", text: "" } }, 1],
    ];
    for (const [end, goes] of ends) {
      const rows = new Rows();
      rows.add("m0", "m1", "m2", "m3");
      const shelf = rows.shelf();
      const { lines } = shelf;
      lines.lapse(T);
      lines.hold({ domain: "x.example", refs: [], until: T, reason: "stopped", admit: 1 });
      expect(lines.handOver(T, 10)).toHaveLength(1);
      lines.claim({ messageId: "m0", domain: "x.example" }, "c", T);
      settleAll([settlement("m0", end)], { store: rows.store, shelf, now: T, random: () => 0.5 });
      expect(lines.handOver(T, 10)).toHaveLength(goes);
    }
  });
});

describe("giving up", () => {
  it("writes a row for what came together, not for each message, and leaves none of it in a line", () => {
    const rows = new Rows();
    const ids = Array.from({ length: 60 }, (_, i) => `m${i}`);
    const one = rows.add(...ids.slice(0, 40));
    const two = rows.add(...ids.slice(40));
    const shelf = rows.shelf();
    const refs = ids.map((messageId) => ({ messageId, domain: "x.example" }));
    shelf.lines.hold({ domain: "x.example", refs: [], until: T, reason: "connection refused", admit: 1 });
    expireGroups(refs, shelf, T);
    expect(rows.written).toEqual([one.id, two.id]);
    expect(shelf.lines.size).toBe(0);
    const ended = [one, two].flatMap(({ id }) => rows.read(id)?.progress ?? []);
    expect(ended.map((of) => of.groups[0]?.recipients[0])).toEqual(
      ids.map(() => expect.objectContaining({ state: "expired", reason: "connection refused" })),
    );
  });
});
