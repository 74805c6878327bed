/** What a report says of a message's recipients: whom it may name, and which of its kinds suppress. */
import { describe, expect, it } from "vitest";
import { factsOf } from "../../src/receive/facts.ts";
import type { Original } from "../../src/receive/original.ts";
import type { Report, ReportedRecipient } from "../../src/receive/report.ts";

const ANN = "ann@x.example";
const BOB = "bob@x.example";
const ORIGINAL: Original = {
  messageId: "",
  by: "address",
  messageIdField: "",
  returnPath: "",
  complaintAddress: "",
  to: "",
  from: "",
  subject: "",
};

const failed = (address: string, of: Partial<ReportedRecipient> = {}): ReportedRecipient => ({
  address,
  original: "",
  action: "failed",
  status: "5.1.1",
  reply: { code: 550, enhanced: "5.1.1", text: "no such user" },
  details: "smtp; 550 5.1.1 no such user",
  remoteMta: "",
  type: "HardBounce",
  ...of,
});
const dsn = (...recipients: ReportedRecipient[]): Report => ({
  kind: "dsn",
  recipients,
  reportingMta: "",
  original: ORIGINAL,
});
const complaint = (feedbackType: string, ...recipients: string[]): Report => ({
  kind: "complaint",
  feedbackType,
  recipients,
  original: ORIGINAL,
});
const answer = (kind: "auto-reply" | "challenge" | "unsubscribe" | "subscribe", from: string): Report => ({
  kind,
  from,
  original: ORIGINAL,
});
const none = { inactive: false, unsubscribes: false, details: "" };

describe("a DSN", () => {
  it("is a bounce of each recipient that it says has failed, in any case of its address", () => {
    const report = dsn(
      failed("Ann@X.Example"),
      failed(BOB, { type: "SoftBounce" }),
      failed("eve@x.example", { action: "delivered" }),
    );
    expect(factsOf(report, [ANN, BOB, "eve@x.example"])).toEqual({
      facts: [
        { ...none, email: ANN, type: "HardBounce", details: "smtp;550 5.1.1 no such user", inactive: true },
        { ...none, email: BOB, type: "SoftBounce", details: "smtp;550 5.1.1 no such user" },
      ],
    });
  });

  it.each(["Blocked", "SpamNotification", "DMARCPolicy", "Unknown", "VirusNotification"] as const)(
    "of %s suppresses nobody",
    (type) => {
      expect(factsOf(dsn(failed(ANN, { type })), [ANN]).facts).toMatchObject([{ type, inactive: false }]);
    },
  );

  it("goes by the address that the message was sent to, where the server tells it", () => {
    const report = dsn(failed("ann@elsewhere.example", { original: ANN }));
    expect(factsOf(report, [ANN, BOB]).facts).toMatchObject([{ email: ANN }]);
  });

  it("that names a stranger changes nothing, also for a message to one", () => {
    for (const recipients of [[ANN], [ANN, BOB]]) {
      const { facts, why } = factsOf(dsn(failed("eve@x.example")), recipients);
      expect(facts).toEqual([]);
      expect(why).toMatch(/nobody to whom/);
    }
  });

  it("that names nobody is of the only recipient there was", () => {
    expect(factsOf(dsn(failed("")), [ANN]).facts).toMatchObject([{ email: ANN }]);
    expect(factsOf(dsn(failed("")), [ANN, BOB]).facts).toEqual([]);
    // One of two was removed since: it may be theirs.
    expect(factsOf(dsn(failed("")), ["", BOB]).facts).toEqual([]);
    expect(factsOf(dsn(failed("")), [""]).facts).toEqual([]);
  });

  it("of a delay suppresses nobody, and of an arrival says nothing", () => {
    const late = failed(ANN, { action: "delayed", type: "Transient" });
    expect(factsOf({ ...dsn(late), kind: "delay" } as Report, [ANN]).facts).toMatchObject([
      { type: "Transient", inactive: false },
    ]);
    expect(factsOf(dsn(failed(ANN, { action: "delivered" })), [ANN]).facts).toEqual([]);
  });

  it("is believed about recipients of a message that nobody knows any more, and suppresses none of them", () => {
    expect(factsOf(dsn(failed("Eve@X.Example")), undefined).facts).toMatchObject([
      { email: "eve@x.example", type: "HardBounce", inactive: false },
    ]);
    expect(factsOf(dsn(failed("")), undefined).facts).toEqual([]);
    expect(factsOf(complaint("abuse", ANN), undefined).facts).toMatchObject([{ inactive: false }]);
    expect(factsOf(answer("unsubscribe", ANN), undefined).facts).toEqual([]);
  });
});

describe("a complaint", () => {
  it("suppresses who complained, or the only recipient when the provider hides them", () => {
    const wanted = { ...none, email: ANN, type: "SpamComplaint", details: "abuse", inactive: true };
    expect(factsOf(complaint("abuse", ANN), [ANN, BOB]).facts).toEqual([wanted]);
    expect(factsOf(complaint("abuse"), [ANN]).facts).toEqual([wanted]);
    expect(factsOf(complaint("abuse"), [ANN, BOB]).facts).toEqual([]);
    expect(factsOf(complaint("abuse", "eve@x.example"), [ANN]).facts).toEqual([]);
  });

  it("of a virus is a program's, and suppresses nobody", () => {
    expect(factsOf(complaint("virus", ANN), [ANN]).facts).toEqual([
      { ...none, email: ANN, type: "VirusNotification", details: "virus" },
    ]);
  });
});

describe("an answer", () => {
  it.each([
    ["auto-reply", "AutoResponder", false],
    ["challenge", "ChallengeVerification", false],
    ["subscribe", "Subscribe", false],
    ["unsubscribe", "Unsubscribe", true],
  ] as const)("%s is of type %s", (kind, type, unsubscribes) => {
    const wanted = { ...none, email: ANN, type, unsubscribes };
    expect(factsOf(answer(kind, "Ann@x.example"), [ANN, BOB]).facts).toEqual([wanted]);
    // Programs answer by addresses of their own.
    expect(factsOf(answer(kind, "system@x.example"), [ANN]).facts).toEqual([wanted]);
    expect(factsOf(answer(kind, "system@x.example"), [ANN, BOB]).facts).toEqual([]);
  });

  it("with a new address tells it", () => {
    const report: Report = {
      kind: "address-change",
      newAddress: "ann@new.example",
      from: ANN,
      original: ORIGINAL,
    };
    expect(factsOf(report, [ANN]).facts).toMatchObject([
      { type: "AddressChange", details: "ann@new.example" },
    ]);
  });

  it("of a person changes nothing", () => {
    const report: Report = { kind: "other", reason: "neither", from: ANN, original: ORIGINAL };
    expect(factsOf(report, [ANN])).toEqual({ facts: [], why: "neither" });
  });
});
