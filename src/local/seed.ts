/**
 * The demo account of a new home: one server, the verified domain example.com with its DKIM keys, one confirmed sender. What is there
 * already stays; a start that was killed in the middle is completed by the next.
 */
import { createAccount, createDomain, createSender, createServer, createToken } from "../accounts/create.ts";
import { createDkimKeys } from "../accounts/dkim-keys.ts";
import type { Secrets } from "./secrets.ts";

export interface Seeded {
  serverId: number;
  inboundHash: string;
  /** What the domain publishes in the local DNS. */
  dns: { name: string; type: "TXT" | "CNAME"; value: string }[];
}

export async function seed(directory: D1Database, secrets: Secrets, domain: string): Promise<Seeded> {
  const now = Date.now();
  const first = <T>(query: string) => directory.prepare(query).first<T>();
  const accountId =
    (await first<{ id: number }>("SELECT id FROM accounts"))?.id ??
    (await createAccount(directory, "Demo", now));
  const found = await first<{ id: number; inboundHash: string }>(
    "SELECT id, inbound_hash AS inboundHash FROM servers",
  );
  const server = found ?? (await createServer(directory, { accountId, name: "Demo server" }, now));
  await createToken(
    directory,
    {
      kind: "server",
      accountId,
      serverId: server.id,
      token: secrets.serverToken,
      deploymentSecret: secrets.deployment,
    },
    now,
  );
  await createToken(directory, { kind: "account", accountId, token: secrets.accountToken }, now);
  const returnPathDomain = `bounces.${domain}`;
  const domainId =
    (await first<{ id: number }>("SELECT id FROM domains"))?.id ??
    (await createDomain(directory, { accountId, name: domain, returnPathDomain, verified: true }, now));
  if (!(await first("SELECT id FROM dkim_keys")))
    await createDkimKeys(directory, { domainId, state: "active", deploymentSecret: secrets.deployment }, now);
  if (!(await first("SELECT id FROM senders")))
    await createSender(directory, { accountId, email: `sender@${domain}`, name: "", confirmed: true }, now);
  const { results: keys } = await directory
    .prepare("SELECT selector, dns_record AS record FROM dkim_keys WHERE state = 'active'")
    .all<{ selector: string; record: string }>();
  return {
    serverId: server.id,
    inboundHash: server.inboundHash,
    dns: [
      ...keys.map((k) => ({
        name: `${k.selector}._domainkey.${domain}`,
        type: "TXT" as const,
        value: k.record,
      })),
      { name: domain, type: "TXT", value: "v=spf1 ip4:127.0.0.1 -all" },
      { name: returnPathDomain, type: "TXT", value: "v=spf1 ip4:127.0.0.1 -all" },
      { name: `_dmarc.${domain}`, type: "TXT", value: `v=DMARC1; p=reject; rua=mailto:dmarc@${domain}` },
    ],
  };
}
