/**
 * What accepting must know of a server, in one plain value. It is read from the directory, kept by each Outbox
 * in its own storage so that accepting goes on when the directory is away, and cached by a Worker for a minute at most.
 */
import type { Tracking } from "../mail/message.ts";

export interface StreamPolicy {
  id: string;
  type: "Transactional" | "Broadcasts" | "Inbound";
  archived: boolean;
  /** When a recipient that still waits is given up, from acceptance: 72 hours unless set, 120 at most. */
  giveUpAfterMs: number;
}

export interface SigningKey {
  domain: string;
  selector: string;
  algorithm: "rsa-sha256" | "ed25519-sha256";
  /** PKCS#8, base64 of the DER. */
  privateKey: string;
}

export interface ServerPolicy {
  serverId: number;
  accountId: number;
  name: string;
  /** SHA-256 of each token in lower case, hex. */
  tokenHashes: string[];
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
  /** "bounces.example.com": where reverse-paths are, per From domain; the deployment's own when a domain has none. */
  returnPathDomains: Record<string, string>;
  keys: SigningKey[];
}
