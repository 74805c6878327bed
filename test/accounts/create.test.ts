import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createAccount, createServer, createToken } from "../../src/accounts/create.ts";
import { createDomain } from "../../src/accounts/domains.ts";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { createSender } from "../../src/accounts/senders.ts";
import { hashToken, newToken, serverIdOf } from "../../src/accounts/token.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

const HOURS_72_MS = 72 * 3_600_000;

async function newServer(settings = {}) {
  const accountId = await createAccount(db.directory, "Acme", NOON);
  const server = await createServer(db.directory, { accountId, name: "Live", ...settings }, NOON);
  return server;
}

describe("a new server", () => {
  it("has Postmark's three streams and sends by the gateway", async () => {
    const { id, accountId } = await newServer();
    expect(await loadPolicy(db.directory, id)).toEqual({
      serverId: id,
      accountId,
      name: "Live",
      tokens: [],
      smtpActivated: true,
      smtpTokens: [],
      sandbox: false,
      trackOpens: false,
      trackLinks: "None",
      transports: ["gateway"],
      streams: [
        {
          id: "broadcast",
          type: "Broadcasts",
          archived: false,
          unsubscribe: "Postmark",
          giveUpAfterMs: HOURS_72_MS,
        },
        { id: "inbound", type: "Inbound", archived: false, unsubscribe: "None", giveUpAfterMs: HOURS_72_MS },
        {
          id: "outbound",
          type: "Transactional",
          archived: false,
          unsubscribe: "None",
          giveUpAfterMs: HOURS_72_MS,
        },
      ],
      domains: [],
      senders: [],
      returnPathDomains: {},
      trackingDomains: {},
      keys: [],
    });
  });

  it("takes its settings", async () => {
    const settings = {
      deliveryType: "Sandbox",
      trackOpens: true,
      trackLinks: "HtmlOnly",
      transports: ["smarthost"],
    };
    const { id } = await newServer(settings);
    expect(await loadPolicy(db.directory, id)).toMatchObject({
      sandbox: true,
      trackOpens: true,
      trackLinks: "HtmlOnly",
      transports: ["smarthost"],
    });
  });

  it("has streams of its own beside another's", async () => {
    const one = await newServer();
    const two = await newServer();
    expect(one.inboundHash).not.toBe(two.inboundHash);
    for (const { id } of [one, two]) expect((await loadPolicy(db.directory, id))?.streams).toHaveLength(3);
  });
});

describe("a policy", () => {
  it("is undefined for a server that does not exist", async () => {
    await newServer();
    expect(await loadPolicy(db.directory, 4_711)).toBeUndefined();
  });

  it("has the hashes of its server's tokens only, and a token's second storing changes nothing", async () => {
    const { id, accountId } = await newServer();
    const other = await newServer();
    const token = await createToken(db.directory, { kind: "server", accountId, serverId: id }, NOON);
    expect(serverIdOf(token)).toBe(id);
    const given = newToken(id);
    for (let i = 0; i < 2; i++)
      expect(
        await createToken(db.directory, { kind: "server", accountId, serverId: id, token: given }, NOON),
      ).toBe(given);
    await createToken(db.directory, { kind: "account", accountId }, NOON);
    await createToken(db.directory, { kind: "server", accountId, serverId: other.id }, NOON);
    const policy = await loadPolicy(db.directory, id);
    expect(policy?.tokens.map((t) => t.hash)).toEqual([await hashToken(token), await hashToken(given)]);
  });

  it("has its account's verified domains and its senders, in lower case", async () => {
    const { id, accountId } = await newServer();
    const other = await newServer();
    const domain = (of: { accountId: number; name: string; verified: boolean; returnPathDomain?: string }) =>
      createDomain(db.directory, of, NOON);
    await domain({ accountId, name: "Example.com", verified: true, returnPathDomain: "Bounces.example.com" });
    await domain({ accountId, name: "plain.example", verified: true });
    await domain({
      accountId,
      name: "unverified.example",
      verified: false,
      returnPathDomain: "b.unverified.example",
    });
    await domain({ accountId: other.accountId, name: "others.example", verified: true });
    const sender = { accountId, name: "Joe", confirmed: true };
    await createSender(db.directory, { ...sender, email: "Joe@Gmail.example", replyTo: "r@x.example" }, NOON);
    await createSender(db.directory, { ...sender, email: "new@x.example", confirmed: false }, NOON);
    await createSender(db.directory, { ...sender, accountId: other.accountId, email: "o@x.example" }, NOON);
    expect(await loadPolicy(db.directory, id)).toMatchObject({
      domains: ["example.com", "plain.example"],
      returnPathDomains: { "example.com": "bounces.example.com" },
      senders: [
        { email: "joe@gmail.example", name: "Joe", replyTo: "r@x.example", confirmed: true },
        { email: "new@x.example", name: "Joe", replyTo: "", confirmed: false },
      ],
    });
  });

  it("says which streams are archived, and that nobody waits longer than 120 hours", async () => {
    const { id } = await newServer();
    await db.directory
      .prepare("UPDATE streams SET archived_at = 1, give_up_after_hours = 500 WHERE id = 'broadcast'")
      .run();
    const policy = await loadPolicy(db.directory, id);
    expect(policy?.streams[0]).toMatchObject({
      id: "broadcast",
      archived: true,
      giveUpAfterMs: 120 * 3_600_000,
    });
  });
});
