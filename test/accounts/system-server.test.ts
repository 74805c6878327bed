import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createAccount, createServer } from "../../src/accounts/create.ts";
import { createDkimKeys } from "../../src/accounts/dkim-keys.ts";
import { createDomain } from "../../src/accounts/domains.ts";
import { loadPolicy, type ServerPolicy } from "../../src/accounts/policy.ts";
import { openKeys } from "../../src/accounts/signing-keys.ts";
import { NotAccepted, sendSystemMessage } from "../../src/accounts/system-message.ts";
import { systemDomain, systemServer } from "../../src/accounts/system-server.ts";
import type { Accepted } from "../../src/mail/accepted.ts";
import type { Submission } from "../../src/mail/message.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

const needs = (mailDomain = "mail.example") => ({
  directory: db.directory,
  now: () => NOON,
  deploymentSecret: "s",
  mailDomain,
});
const count = (table: string) => db.directory.prepare(`SELECT count(*) AS n FROM ${table}`).first("n");

describe("the deployment's own server", () => {
  it("is made once, by calls at the same time too, and signs for the mail domain", async () => {
    const ids = await Promise.all([systemServer(needs()), systemServer(needs()), systemServer(needs())]);
    expect(new Set(ids).size).toBe(1);
    expect(await systemServer(needs())).toBe(ids[0]);
    const tables = ["accounts", "servers", "streams", "domains", "dkim_keys"];
    expect(await Promise.all(tables.map(count))).toEqual([1, 1, 3, 1, 2]);
    const policy = await loadPolicy(db.directory, ids[0] ?? 0);
    expect(policy).toMatchObject({
      accountId: 0,
      tokens: [],
      domains: ["mail.example"],
      transports: ["gateway", "smarthost", "cloudflare"],
    });
    expect(await openKeys(policy as ServerPolicy, "mail.example", "s")).toHaveLength(2);
    expect((await systemDomain(needs()))?.keys).toHaveLength(2);
  });

  it("goes on where one that made it stopped", async () => {
    const id = await systemServer(needs());
    await db.directory.prepare("DELETE FROM servers").run();
    const again = await systemServer(needs());
    expect(again).not.toBe(id);
    expect(await count("dkim_keys")).toBe(2);
  });

  it("has another domain when the deployment has", async () => {
    const id = await systemServer(needs());
    expect(await systemServer(needs("other.example"))).toBe(id);
    expect((await loadPolicy(db.directory, id))?.domains).toEqual(["mail.example", "other.example"]);
  });

  it("stands beside an account that has the same name and the same domain", async () => {
    const accountId = await createAccount(db.directory, "Edgepost", NOON);
    const { id } = await createServer(db.directory, { accountId, name: "Edgepost" }, NOON);
    const domainId = await createDomain(
      db.directory,
      { accountId, name: "mail.example", verified: true },
      NOON,
    );
    const theirs = await createDkimKeys(
      db.directory,
      { domainId, state: "active", deploymentSecret: "s" },
      NOON,
    );
    const ours = await systemServer(needs());
    expect(ours).not.toBe(id);
    const policy = await loadPolicy(db.directory, ours);
    const selectors = [...theirs, ...(policy?.keys ?? [])].map((key) => key.selector);
    expect(new Set(selectors).size).toBe(4);
    expect((await loadPolicy(db.directory, id))?.keys).toHaveLength(2);
  });
});

describe("a message of the deployment", () => {
  const message = { to: "a@b.example", subject: "Hello", text: "text", html: "<p>html</p>" };
  const sendTo = (kind: string, results?: Accepted[]) => {
    const handed: { policy: ServerPolicy; submissions: Submission[] }[] = [];
    const sent = sendSystemMessage(
      {
        ...needs(),
        async accept(policy, submissions) {
          handed.push({ policy, submissions });
          return { kind, results };
        },
      },
      message,
    );
    return { handed, sent };
  };

  it("goes through the gate for mail, from an address that wants no answer", async () => {
    const ok = { ok: true as const, messageId: "m", submittedAt: NOON, inactive: [] };
    const { handed, sent } = sendTo("accepted", [ok]);
    expect(await sent).toBe("accepted");
    expect(handed[0]?.policy.domains).toEqual(["mail.example"]);
    expect(handed[0]?.submissions).toMatchObject([
      {
        from: { email: "no-reply@mail.example", name: "Edgepost" },
        to: [{ email: "a@b.example" }],
        textBody: "text",
        htmlBody: "<p>html</p>",
        trackOpens: false,
      },
    ]);
  });

  it("says that its recipient gets no mail, and throws when it was not accepted", async () => {
    const inactive = { ok: false as const, inactive: ["a@b.example"] };
    expect(await sendTo("accepted", [inactive]).sent).toBe("inactive");
    await expect(sendTo("unavailable").sent).rejects.toBeInstanceOf(NotAccepted);
  });
});
