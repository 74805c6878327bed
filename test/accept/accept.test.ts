/** The gate for mail before its Outboxes: who is asked, in which order, and what a failure means. */
import { describe, expect, it } from "vitest";
import { type AcceptNeeds, accept } from "../../src/accept/accept.ts";
import type { AcceptReply, AcceptRequest } from "../../src/accept/needs.ts";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import type { Submission } from "../../src/mail/message.ts";
import { parseMessageId } from "../../src/mail/message-id.ts";

const policy: ServerPolicy = {
  serverId: 7,
  accountId: 1,
  name: "s",
  tokens: [],
  smtpActivated: true,
  smtpTokens: [],
  sandbox: false,
  trackOpens: false,
  trackLinks: "None",
  transports: ["gateway"],
  streams: [
    {
      id: "outbound",
      type: "Transactional",
      archived: false,
      unsubscribe: "None",
      giveUpAfterMs: 3_600_000,
    },
  ],
  domains: ["example.com"],
  senders: [],
  returnPathDomains: { "example.com": "bounces.example.com" },
  trackingDomains: {},
  keys: [],
};

const submission: Submission = {
  from: { email: "a@example.com", name: "" },
  to: [{ email: "X@One.example", name: "" }],
  cc: [{ email: "x@one.example", name: "" }],
  bcc: [{ email: "y@two.example", name: "" }],
  replyTo: [],
  subject: "s",
  htmlBody: "",
  textBody: "t",
  tag: "",
  headers: [],
  metadata: {},
  attachments: [],
  trackOpens: false,
  trackLinks: "None",
  stream: "outbound",
};

/** An Outbox at the port, by what it does when it is asked. */
function gate(behave: (shard: string, request: AcceptRequest) => AcceptReply) {
  const asked: string[] = [];
  const objects: string[] = [];
  const needs: AcceptNeeds = {
    now: () => 1_700_000_000_000,
    randomBytes: (count) => new Uint8Array(count).fill(5),
    outbox: (shard) => ({
      async accept(request) {
        asked.push(shard);
        return behave(shard, request);
      },
    }),
    async putObject(key) {
      objects.push(key);
    },
    mailDomain: "mail.example.com",
    shardsPerRegion: 2,
    log: () => undefined,
  };
  return { asked, objects, needs };
}

const taken = (request: AcceptRequest): AcceptReply => ({
  kind: "accepted",
  results: request.messages.map(({ message }) => ({
    ok: true,
    messageId: message.id,
    submittedAt: message.acceptedAt,
    inactive: [],
  })),
});

describe("accepting", () => {
  it("asks an Outbox of the caller's region, and the id names it", async () => {
    const { asked, needs } = gate((_, request) => taken(request));
    const outcome = await accept(policy, [submission], { region: "weur" }, needs);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatch(/^7\/weur\/[01]$/);
    if (outcome.kind !== "accepted" || !outcome.results[0]?.ok) throw new Error("not accepted");
    const place = parseMessageId(outcome.results[0].messageId);
    expect(`7/${place?.region}/${place?.number}`).toBe(asked[0]);
  });

  it.each([
    ["fails", () => Promise.reject(new Error("gone")) as unknown as AcceptReply],
    ["is full", (): AcceptReply => ({ kind: "overloaded" })],
  ])("passes over one that %s, then a whole region", async (_, behave) => {
    const { asked, needs } = gate((shard, request) => (shard.includes("/weur/") ? behave() : taken(request)));
    const outcome = await accept(policy, [submission], { region: "weur" }, needs);
    expect(outcome.kind).toBe("accepted");
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.filter((a) => a.startsWith("7/weur/"))).toHaveLength(2);
    expect(asked.at(-1)).toMatch(/^7\/eeur\//);
  });

  it("says when nobody takes it", async () => {
    const { needs } = gate(() => ({ kind: "overloaded" }));
    expect((await accept(policy, [submission], { region: "apac" }, needs)).kind).toBe("unavailable");
  });

  it("with an idempotency key asks one Outbox from anywhere, and none else when that fails", async () => {
    const idempotency = { key: "order-17", bodyHash: "h" };
    const first = gate((_, request) => taken(request));
    await accept(policy, [submission], { region: "weur", idempotency }, first.needs);
    const elsewhere = gate(() => {
      throw new Error("gone");
    });
    const outcome = await accept(policy, [submission], { region: "apac", idempotency }, elsewhere.needs);
    expect(outcome.kind).toBe("unavailable");
    expect(elsewhere.asked).toEqual(first.asked);
  });

  it("groups recipients by domain, each address once, and keeps what every attempt needs", async () => {
    let seen: AcceptRequest | undefined;
    const { needs } = gate((_, request) => {
      seen = request;
      return taken(request);
    });
    await accept(policy, [submission], { region: "local" }, needs);
    expect(seen?.messages[0]?.message).toMatchObject({
      groups: [
        { domain: "one.example", recipients: ["x@one.example"] },
        { domain: "two.example", recipients: ["y@two.example"] },
      ],
      fromDomain: "example.com",
      returnPathDomain: "bounces.example.com",
      giveUpAt: 1_700_000_000_000 + 3_600_000,
    });
  });

  it("puts a message that is too large for a row into R2 first", async () => {
    const { objects, needs } = gate((_, request) => taken(request));
    const outcome = await accept(
      policy,
      [{ ...submission, textBody: "x".repeat(1_100_000) }],
      { region: "local" },
      needs,
    );
    expect(outcome.kind).toBe("accepted");
    expect(objects).toHaveLength(1);
    expect(objects[0]).toMatch(/^large\/2023-11-14\//);
  });
});
