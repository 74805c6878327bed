/**
 * What accepting must know of a server, in one plain value. It is read from the directory, kept by each Outbox
 * in its own storage so that accepting goes on when the directory is away, and cached by a Worker for a minute at most.
 */
import { and, asc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Tracking } from "../mail/message.ts";
import { MAX_GIVE_UP_AFTER_MS } from "../mail/schedule.ts";
import { dkimKeys, domains, senders, servers, smtpTokens, streams, tokens } from "../schema/directory.ts";

const HOUR_MS = 3_600_000;

export interface StreamPolicy {
  id: string;
  type: "Transactional" | "Broadcasts" | "Inbound";
  archived: boolean;
  unsubscribe: "None" | "Postmark" | "Custom";
  /** When a recipient that still waits is given up, from acceptance: 72 hours unless set, 120 at most. */
  giveUpAfterMs: number;
}

export interface SigningKey {
  domain: string;
  selector: string;
  algorithm: "rsa-sha256" | "ed25519-sha256";
  /** PKCS#8, base64 of the DER; in a ServerPolicy it is sealed (secret.ts), and opened only to sign. */
  privateKey: string;
}

export type Scope = "full" | "send" | "read";

export interface TokenPolicy {
  /** SHA-256 of the token in lower case, hex. */
  hash: string;
  scope: Scope;
  /** Addresses and CIDR ranges that its requests to the API may come from; [] for any. */
  allowedIps: string[];
  /** Requests to the API; null for the deployment's own limit. */
  ratePerMinute: number | null;
}

/** Who asks: a server, by one of its tokens. */
export interface Caller {
  policy: ServerPolicy;
  token: TokenPolicy;
}

export interface ServerPolicy {
  serverId: number;
  accountId: number;
  name: string;
  tokens: TokenPolicy[];
  /** Whether SMTP takes this server's tokens, and those that are for SMTP alone. */
  smtpActivated: boolean;
  smtpTokens: { accessKey: string; secretHash: string; stream: string }[];
  sandbox: boolean;
  trackOpens: boolean;
  trackLinks: Tracking;
  /** Transports in the order to try them. */
  transports: ("gateway" | "smarthost" | "cloudflare" | "sandbox")[];
  streams: StreamPolicy[];
  /** Verified domains, lower case. */
  domains: string[];
  /** Sender signatures, with lower-case addresses. */
  senders: { email: string; name: string; replyTo: string; confirmed: boolean }[];
  /** "bounces.example.com": where reverse-paths are, per From domain; the deployment's own when a domain has none that is verified. */
  returnPathDomains: Record<string, string>;
  /** "track.example.com": where links of messages lead, per From domain; the deployment's own URL for others. */
  trackingDomains: Record<string, string>;
  /** Active ones; each `privateKey` is sealed, since policies are kept by Outboxes and caches. */
  keys: SigningKey[];
}

/** The policy as the directory has it, read in one transaction; undefined when there is no such server, or no more. */
export async function loadPolicy(directory: D1Database, serverId: number): Promise<ServerPolicy | undefined> {
  const db = drizzle(directory);
  const account = sql`(select ${servers.accountId} from ${servers} where ${servers.id} = ${serverId})`;
  const { hash, scope, allowedIps, ratePerMinute } = tokens;
  const [[server], tokenRows, smtpRows, streamRows, domainRows, keyRows, senderRows] = await db.batch([
    db
      .select()
      .from(servers)
      .where(and(eq(servers.id, serverId), isNull(servers.deletedAt))),
    db
      .select({ hash, scope, allowedIps, ratePerMinute })
      .from(tokens)
      .where(and(eq(tokens.serverId, serverId), eq(tokens.kind, "server")))
      .orderBy(asc(tokens.id)),
    db
      .select({
        accessKey: smtpTokens.accessKey,
        secretHash: smtpTokens.secretHash,
        stream: smtpTokens.stream,
      })
      .from(smtpTokens)
      .where(eq(smtpTokens.serverId, serverId)),
    db.select().from(streams).where(eq(streams.serverId, serverId)),
    db
      .select()
      .from(domains)
      .where(and(sql`${domains.accountId} = ${account}`, isNotNull(domains.verifiedAt)))
      .orderBy(asc(domains.id)),
    db
      .select({
        domain: domains.name,
        selector: dkimKeys.selector,
        algorithm: dkimKeys.algorithm,
        privateKey: dkimKeys.privateKey,
      })
      .from(dkimKeys)
      .innerJoin(domains, eq(dkimKeys.domainId, domains.id))
      .where(and(sql`${domains.accountId} = ${account}`, eq(dkimKeys.state, "active")))
      .orderBy(asc(dkimKeys.id)),
    db.select().from(senders).where(sql`${senders.accountId} = ${account}`).orderBy(asc(senders.id)),
  ]);
  if (!server) return undefined;
  return {
    serverId,
    accountId: server.accountId,
    name: server.name,
    tokens: tokenRows,
    smtpActivated: server.smtpActivated,
    smtpTokens: smtpRows,
    sandbox: server.deliveryType === "Sandbox",
    trackOpens: server.trackOpens,
    trackLinks: server.trackLinks,
    transports: server.transports,
    streams: streamRows.map(toStreamPolicy),
    domains: domainRows.map((d) => d.name),
    senders: senderRows.map(({ email, name, replyTo, confirmedAt }) => ({
      email,
      name,
      replyTo,
      confirmed: confirmedAt !== null,
    })),
    returnPathDomains: Object.fromEntries(
      domainRows.flatMap((d) =>
        d.returnPathDomain && d.returnPathVerifiedAt !== null ? [[d.name, d.returnPathDomain]] : [],
      ),
    ),
    trackingDomains: Object.fromEntries(
      domainRows.flatMap((d) =>
        d.customTrackingDomain && d.customTrackingVerifiedAt !== null
          ? [[d.name, d.customTrackingDomain]]
          : [],
      ),
    ),
    keys: keyRows,
  };
}

function toStreamPolicy({
  id,
  type,
  archivedAt,
  giveUpAfterHours,
  unsubscribeHandling: unsubscribe,
}: typeof streams.$inferSelect): StreamPolicy {
  const giveUpAfterMs = Math.min(giveUpAfterHours * HOUR_MS, MAX_GIVE_UP_AFTER_MS);
  return { id, type, archived: archivedAt !== null, unsubscribe, giveUpAfterMs };
}
