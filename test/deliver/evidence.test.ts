import { describe, expect, it } from "vitest";
import { type Evidence, hintOf, nothing, toEvidence, withoutAddresses } from "../../src/deliver/evidence.ts";
import type { Outcome } from "../../src/mail/outcome.ts";

type Row = [result: Evidence["result"], concerns: Evidence["concerns"], reply: string, hint: string];

/** Replies as providers give them, shortened. */
const ROWS: Row[] = [
  ["delivered", "recipient", "250 2.0.0 OK", "ok"],
  ["bounced", "recipient", "550 5.1.1 no such user", "ok"],
  ["bounced", "destination", "0 ", "nothing"],
  ["deferred", "recipient", "452 4.2.2 mailbox full", "ok"],
  ["deferred", "recipient", "451 4.7.1 greylisted, come back in five minutes", "ok"],
  ["deferred", "destination", "0 ", "down"],
  ["deferred", "destination", "451 4.3.0 local error", "down"],
  ["deferred", "destination", "421 4.7.0 closing", "slow"],
  ["deferred", "recipient", "450 4.7.1 Greylisted, please try again later", "ok"],
  ["deferred", "destination", "451 Internal resources are temporarily unavailable", "ok"],
  ["deferred", "recipient", "450 4.7.0 [TSS04] deferred due to unexpected volume or user complaints", "slow"],
  ["deferred", "recipient", "451 4.7.500 Server busy. Please try again later", "slow"],
  ["deferred", "recipient", "450 Connection frequency limited", "slow"],
  ["deferred", "recipient", "450 Trop de connexions, veuillez verifier votre configuration", "slow"],
  ["deferred", "recipient", "450 4.7.28 unusual rate of mail from your IP", "slow"],
  ["deferred", "recipient", "452 4.3.2 too many connections", "slow"],
  ["deferred", "destination", "451 4.7.0 temporarily rate limited due to IP", "slow"],
  ["bounced", "destination", "550 5.7.1 part of their network is on our block list (S3150)", "blocked"],
  [
    "bounced",
    "recipient",
    "554 Service unavailable; Client host [1.2.3.4] blocked using zen.spamhaus.org",
    "blocked",
  ],
  ["bounced", "destination", "550 5.7.1 very low reputation of the sending IP address", "blocked"],
  ["deferred", "destination", "421 4.7.0 your IP has been temporarily blocked", "blocked"],
  ["bounced", "recipient", "550 5.7.1 SPF check failed", "ok"],
  ["bounced", "recipient", "550 5.2.1 blocked mailbox", "blocked"],
  ["deferred", "transport", "0 ", "transport"],
  ["unknown", "recipient", "0 ", "nothing"],
  ["none", "recipient", "0 ", "nothing"],
];

function evidence([result, concerns, line]: Row): Evidence {
  const [, code, enhanced, text] = /^(\d+) ?([245]\.\d+\.\d+)? ?(.*)$/.exec(line) ?? [];
  const reply = { code: Number(code), enhanced: enhanced ?? "", text: text ?? "" };
  return { transport: "gateway", result, concerns, reply, reason: "", at: 0 };
}

describe("hintOf", () => {
  for (const row of ROWS)
    it(`takes "${row[0]} (${row[1]}) ${row[2]}" for ${row[3]}`, () => {
      expect(hintOf(evidence(row))).toBe(row[3]);
    });

  it("learns nothing from the sandbox", () => {
    expect(hintOf({ ...evidence(["delivered", "recipient", "250 ok", ""]), transport: "sandbox" })).toBe(
      "nothing",
    );
  });

  it("reads a text of any kind in linear time", () => {
    for (const piece of ["ip ", "reputation of ", "exceeded ", "poor ", "a"]) {
      const text = piece.repeat(20_000);
      const started = process.cpuUsage().user;
      hintOf({
        ...evidence(["deferred", "destination", "421 ", ""]),
        reply: { code: 450, enhanced: "", text },
      });
      expect(process.cpuUsage().user - started).toBeLessThan(2_000_000);
    }
  });
});

describe("toEvidence", () => {
  const outcome = (row: Row): Outcome => {
    const { result, concerns, reply } = evidence(row);
    return {
      recipient: "a@b.test",
      result: result as Outcome["result"],
      concerns,
      reply,
      hop: { host: "", address: "", tls: "" },
      reason: "",
      uncertain: false,
      at: 7,
      transcript: [{ at: 1, command: "RCPT TO:<a@b.test>", reply }],
    };
  };

  it("carries no address and no transcript", () => {
    const made = toEvidence("gateway", [outcome(["delivered", "recipient", "250 ok", ""])]);
    expect(made).toEqual({ ...evidence(["delivered", "recipient", "250 ok", ""]), at: 7 });
  });

  it("takes a success over everything, and what concerns the destination over what does not", () => {
    const user = outcome(["bounced", "recipient", "550 5.1.1 no such user", ""]);
    const down = outcome(["deferred", "destination", "0 ", ""]);
    const fine = outcome(["delivered", "recipient", "250 ok", ""]);
    expect(toEvidence("gateway", [user, down]).concerns).toBe("destination");
    expect(toEvidence("gateway", [user, down, fine]).result).toBe("delivered");
    expect(toEvidence("gateway", [])).toEqual(nothing("gateway"));
  });
});

describe("what is kept of a reply", () => {
  it.each([
    ["<bob@acme.test>: Recipient address rejected", "<…@acme.test>: Recipient address rejected"],
    ["(a.b+c=d@acme.test) and o'neil@acme.test", "(…@acme.test) and …@acme.test"],
    ["mailto:postmaster@acme.test", "mailto:…@acme.test"],
    ["@ nobody @", "@ nobody @"],
    ["no address", "no address"],
  ])("%s", (text, kept) => {
    expect(withoutAddresses(text)).toBe(kept);
  });

  it("is read in linear time", () => {
    const started = performance.now();
    withoutAddresses(`${"a".repeat(1_000_000)} ${"a@".repeat(500_000)}`);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it("has no addresses in evidence, whoever's", () => {
    const reply = { code: 451, enhanced: "4.3.0", text: "no lookup of bob@acme.test" };
    const hop = { host: "mx", address: "", tls: "" };
    const told = {
      result: "deferred",
      concerns: "destination",
      reason: "bob@acme.test",
      reply,
      hop,
    } as const;
    const outcome = { recipient: "bob@acme.test", uncertain: false, at: 0, transcript: [], ...told };
    expect(JSON.stringify(toEvidence("gateway", [outcome]))).not.toContain("bob");
  });
});
