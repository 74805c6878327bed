/**
 * The demo account of a new home: one server, the verified domain example.com with its DKIM keys, one confirmed sender; and the server
 * that the deployment itself sends by. What is there already stays; a start that was killed in the middle is completed by the next.
 */
import { createAccount, createServer, createToken } from "../accounts/create.ts";
import { createDkimKeys } from "../accounts/dkim-keys.ts";
import { dnsNames } from "../accounts/dns-names.ts";
import { createDomain } from "../accounts/domains.ts";
import { reportsHost } from "../accounts/report-monitors.ts";
import { createSender } from "../accounts/senders.ts";
import { systemServer } from "../accounts/system-server.ts";
import type { Secrets } from "./secrets.ts";
import { FRONT_DOOR_HOST } from "./world/zone.ts";

export interface Seeded {
  serverId: number;
  inboundHash: string;
  /** What the domain, which is also the deployment's own, publishes in the local DNS. */
  dns: { name: string; type: "TXT" | "CNAME" | "MX"; value: string }[];
}

export async function seed(directory: D1Database, secrets: Secrets, domain: string): Promise<Seeded> {
  const now = Date.now();
  const first = <T>(query: string, ...bound: unknown[]) =>
    directory
      .prepare(query)
      .bind(...bound)
      .first<T>();
  // The first, so that the demo's number is not 1: clients' own tests take that for a server of somebody else's.
  await systemServer({
    directory,
    now: () => now,
    deploymentSecret: secrets.deployment,
    mailDomain: domain,
  });
  const accountId =
    (await first<{ id: number }>("SELECT id FROM accounts WHERE id > 0 ORDER BY id"))?.id ??
    (await createAccount(directory, "Demo", now));
  const found = await first<{ id: number; inboundHash: string }>(
    "SELECT id, inbound_hash AS inboundHash FROM servers WHERE account_id = ? ORDER BY id",
    accountId,
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
  const mine = await first<{ id: number }>(
    "SELECT id FROM domains WHERE account_id = ? AND name = ?",
    accountId,
    domain,
  );
  const domainId =
    mine?.id ??
    (await createDomain(directory, { accountId, name: domain, returnPathDomain, verified: true }, now));
  if (!(await first("SELECT id FROM dkim_keys WHERE domain_id = ?", domainId)))
    await createDkimKeys(directory, { domainId, state: "active", deploymentSecret: secrets.deployment }, now);
  if (!(await first("SELECT id FROM senders WHERE account_id = ?", accountId)))
    await createSender(directory, { accountId, email: `sender@${domain}`, name: "", confirmed: true }, now);
  const { results: keys } = await directory
    .prepare(
      `SELECT selector, dns_record AS record FROM dkim_keys
       WHERE state = 'active' AND domain_id IN (SELECT id FROM domains WHERE name = ?)`,
    )
    .bind(domain)
    .all<{ selector: string; record: string }>();
  const { returnPath, spf } = dnsNames(domain);
  return {
    serverId: server.id,
    inboundHash: server.inboundHash,
    dns: [
      ...keys.map((k) => ({
        name: `${k.selector}._domainkey.${domain}`,
        type: "TXT" as const,
        value: k.record,
      })),
      ...[domain, returnPathDomain, returnPath, spf].map((name) => ({
        name,
        type: "TXT" as const,
        value: "v=spf1 ip4:127.0.0.1 -all",
      })),
      { name: `${domain}._report._dmarc.${reportsHost(domain)}`, type: "TXT", value: "v=DMARC1" },
      { name: returnPathDomain, type: "MX", value: `10 ${FRONT_DOOR_HOST}` },
      { name: `_dmarc.${domain}`, type: "TXT", value: `v=DMARC1; p=reject; rua=mailto:dmarc@${domain}` },
    ],
  };
}
