/** Settlements as an Outbox takes them: with the rows of their packs, which may fail to be written, and with their lines. */
import { describe, expect, it } from "vitest";
import { settleAll } from "../../src/accept/settle.ts";
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
});
