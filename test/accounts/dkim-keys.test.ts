import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAccount, createServer } from "../../src/accounts/create.ts";
import { createDkimKeys } from "../../src/accounts/dkim-keys.ts";
import { createDomain } from "../../src/accounts/domains.ts";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { openKeys } from "../../src/accounts/signing-keys.ts";
import { importKey } from "../../src/compose/keys.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
let serverId: number;
let domain: (name: string) => Promise<number>;
beforeAll(async () => {
  db = await openDatabases();
  const accountId = await createAccount(db.directory, "Acme", NOON);
  serverId = (await createServer(db.directory, { accountId, name: "Live" }, NOON)).id;
  domain = (name) => createDomain(db.directory, { accountId, name, verified: true }, NOON);
});
afterAll(() => db.dispose());

describe("DKIM keys", () => {
  it("are one of each algorithm, sealed in the policy, and sign when they are opened", async () => {
    const domainId = await domain("example.com");
    const published = await createDkimKeys(
      db.directory,
      { domainId, state: "active", deploymentSecret: "s" },
      NOON,
    );
    expect(published).toEqual([
      {
        selector: expect.stringMatching(/^20260217120000[0-9a-f]{4}pm$/),
        algorithm: "rsa-sha256",
        dnsRecord: expect.stringMatching(/^v=DKIM1; k=rsa; p=MI/),
      },
      {
        selector: expect.stringMatching(/^20260217120000[0-9a-f]{4}ed$/),
        algorithm: "ed25519-sha256",
        dnsRecord: expect.stringMatching(/^v=DKIM1; k=ed25519; p=.{44}$/),
      },
    ]);
    const policy = await loadPolicy(db.directory, serverId);
    expect(policy?.keys.map((k) => k.selector)).toEqual(published.map((k) => k.selector));
    for (const key of policy?.keys ?? []) expect(key.privateKey).toMatch(/^v1\./);
    for (const key of await openKeys(policy as NonNullable<typeof policy>, "example.com", "s"))
      expect((await importKey(key)).usages).toEqual(["sign"]);
  });

  it("are no part of the policy while they are pending", async () => {
    const domainId = await domain("pending.example");
    await createDkimKeys(db.directory, { domainId, state: "pending", deploymentSecret: "s" }, NOON);
    const policy = await loadPolicy(db.directory, serverId);
    expect(policy?.keys.map((k) => k.domain)).not.toContain("pending.example");
  });
});
