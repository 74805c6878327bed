import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DmarcSum } from "../../../src/archive/dmarc.ts";
import { adviceOnDomain, adviceOnSender, adviceOnTls } from "../../../src/receive/reports/advice.ts";
import { sendersOf } from "../../../src/receive/reports/senders.ts";

const nothing: DmarcSum = {
  sourceIp: "203.0.113.5",
  dkimDomain: "",
  dkimResult: "",
  spfDomain: "",
  spfResult: "",
  dkimAligned: false,
  spfAligned: false,
  disposition: "none",
  reason: "",
  count: 1204,
};
const passing: DmarcSum = {
  ...nothing,
  sourceIp: "192.0.2.10",
  dkimDomain: "shop.example",
  dkimResult: "pass",
  spfDomain: "bounce.shop.example",
  spfResult: "pass",
  dkimAligned: true,
  spfAligned: true,
};

const advice = (...sums: DmarcSum[]) =>
  sendersOf(sums, "shop.example").map((sender) => adviceOnSender(sender, "shop.example"));

describe("what a sender is told to be", () => {
  it("a forger, or a server that was forgotten", () => {
    expect(advice(nothing)).toEqual([
      "203.0.113.5 sends 1,204 messages as you that pass neither: no signature of yours, and SPF does not name the address. If the server is yours, add it to the SPF record of shop.example and sign with DKIM; if it is not, somebody forges your name, and a policy of quarantine or reject keeps that out.",
    ]);
  });

  it("fine", () => {
    expect(advice(passing)).toEqual(["All 1,204 messages by shop.example pass. Nothing is to be done."]);
    expect(advice({ ...passing, count: 1 })).toEqual([
      "The one message by shop.example passes. Nothing is to be done.",
    ]);
  });

  it("fine by one of the two", () => {
    const byDkim = { ...passing, spfAligned: false, spfDomain: "esp.example.net" };
    expect(advice(byDkim)[0]).toMatch(/^All 1,204 messages by example\.net pass, by DKIM alone/);
    const bySpf = { ...passing, dkimAligned: false, dkimDomain: "", dkimResult: "" };
    expect(advice(bySpf)[0]).toMatch(/, all by SPF alone. Sign with DKIM/);
  });

  it.each([
    [
      "signed in its own name",
      { dkimDomain: "crm.example.net", dkimResult: "pass" },
      /^example\.net sends 1,204 messages as you, signed in its own name/,
    ],
    [
      "an own return path",
      { spfDomain: "b.example.org", spfResult: "pass" },
      /^example\.org sends .* with a return path of its own/,
    ],
    [
      "forwarded",
      { spfDomain: "b.example.org", spfResult: "pass", reason: "forwarded" },
      /^example\.org passed on/,
    ],
    [
      "a broken signature",
      { dkimDomain: "shop.example", dkimResult: "fail" },
      /^203\.0\.113\.5 sends .* which does not hold/,
    ],
  ])("%s", (_, of, words) => {
    expect(advice({ ...nothing, ...of })[0]).toMatch(words);
  });

  it("a mixture, of which the part that fails is told", () => {
    expect(
      advice(passing, {
        ...passing,
        count: 40,
        dkimAligned: false,
        dkimResult: "fail",
        spfAligned: false,
      })[0],
    ).toMatch(/^shop\.example sends 40 of its 1,244 messages with your signature, which does not hold/);
  });

  it("many small ones", () => {
    expect(advice({ ...nothing, sourceIp: "" })[0]).toMatch(
      /^Many addresses with a few messages each send 1,204 messages as you/,
    );
  });
});

describe("the senders of a domain", () => {
  it("are one where the organisation is the same, and apart where nothing is proven", () => {
    const senders = sendersOf(
      [
        { ...passing, sourceIp: "192.0.2.1", spfDomain: "a.esp.example.net" },
        { ...passing, sourceIp: "192.0.2.2", spfDomain: "b.esp.example.net", count: 5 },
        nothing,
        { ...nothing, sourceIp: "203.0.113.6" },
      ],
      "shop.example",
    );
    expect(senders.map((s) => [s.organisation, s.messages, s.addressCount])).toEqual([
      ["example.net", 1209, 2],
      ["", 1204, 1],
      ["", 1204, 1],
    ]);
  });

  it("lose no message, and count none twice, whatever they do", () => {
    const domain = fc.constantFrom("", "shop.example", "m.shop.example", "esp.example.net", "co.uk", "x");
    const result = fc.constantFrom("", "pass", "fail", "none");
    const sum = fc.record({
      sourceIp: fc.constantFrom("", "192.0.2.1", "2001:db8::1"),
      dkimDomain: domain,
      dkimResult: result,
      spfDomain: domain,
      spfResult: result,
      dkimAligned: fc.boolean(),
      spfAligned: fc.boolean(),
      disposition: fc.constantFrom("none", "quarantine", "reject"),
      reason: fc.constantFrom("", "forwarded", "other"),
      count: fc.integer({ min: 1, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(fc.array(sum, { maxLength: 40 }), (sums) => {
        const senders = sendersOf(sums, "shop.example");
        const total = (of: { messages: number }[]) => of.reduce((all, { messages }) => all + messages, 0);
        expect(total(senders)).toBe(sums.reduce((all, { count }) => all + count, 0));
        for (const sender of senders) {
          expect(sender.aligned).toBeLessThanOrEqual(sender.messages);
          expect(adviceOnSender(sender, "shop.example")).toMatch(/^\S.*\.$/s);
        }
      }),
    );
  });
});

describe("what the policy should be", () => {
  const say = (messages: number, aligned: number, policy: string) =>
    adviceOnDomain({ messages, aligned, policy }, "shop.example");

  it("depends on how much would be touched", () => {
    expect(say(0, 0, "")).toMatch(/^No report tells of mail from shop\.example/);
    expect(say(50, 50, "none")).toMatch(/too few to tell/);
    expect(say(1000, 1000, "none")).toBe(
      "100% of 1,000 messages pass, and the policy is none. It can become quarantine: nothing of these would have been touched.",
    );
    expect(say(100_000, 99_999, "quarantine")).toMatch(/^99\.9% .* It can become reject: 1 of these/);
    expect(say(1000, 900, "none")).toMatch(
      /^90% .* before it becomes quarantine: 100 messages would be touched/,
    );
    expect(say(1000, 900, "reject")).toMatch(/the strictest/);
  });
});

describe("TLS failures", () => {
  it("say what the mail server is to do, and what is unknown by its name", () => {
    expect(
      adviceOnTls({ result: "certificate-expired", mxHost: "mx.shop.example", count: 2 }, "shop.example"),
    ).toBe("mx.shop.example shows a certificate that has expired: renew it (2 sessions).");
    expect(adviceOnTls({ result: "strange", mxHost: "", count: 1 }, "shop.example")).toBe(
      'The mail server of shop.example fails with "strange" (1 session).',
    );
    expect(adviceOnTls({ result: "sts-policy-fetch-error", mxHost: "", count: 1 }, "shop.example")).toContain(
      "mta-sts.shop.example",
    );
  });
});
