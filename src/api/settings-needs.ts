/** What the endpoints need that change what is kept of accounts, servers and what belongs to them. */
import { Unavailable } from "./error.ts";

export interface SettingsNeeds {
  directory: D1Database;
  now(): number;
  newId(): string;
  log(event: string, fields: Record<string, unknown>): void;
  /** Makes every Outbox of the server read its policy anew; what cannot be told finds out within a minute. */
  policyChanged(serverId: number): Promise<void>;
  /** The same for all servers of an account: its domains or senders were changed. */
  accountChanged(accountId: number): Promise<void>;
  /** The place of the newest event in the server's log: a hook that begins now begins behind it. Rejects when the log is away. */
  logHead(serverId: number): Promise<number>;
  /** Those hooks of the server, by name (accounts/hooks.ts), were made or changed; what cannot be told finds out within a minute. */
  hooksChanged(serverId: number, names: string[]): Promise<void>;
  /** Seals what is secret and shown again (accounts/secret.ts). */
  deploymentSecret: string;
  /** Right side of Message-IDs; the names that customers' DNS points to are below it. */
  mailDomain: string;
  /** Where people reach this deployment, for links in messages: "https://edgepost.example.com". */
  publicUrl: string;
  /** Asks the DNS over HTTPS (RFC 8484). */
  fetchDns(url: string, init: RequestInit): Promise<Response>;
  dnsUrl: string;
}

/** Settings cannot be read or changed without the directory: the caller is told to come again. */
export async function settled<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("Settings cannot be read or changed at the moment. Please try again.", { cause });
  }
}
