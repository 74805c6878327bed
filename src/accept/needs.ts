/** What an Outbox needs of the world around it; src/wiring/outbox.ts makes it from the deployment's bindings. */
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { MailEvent } from "../mail/event.ts";
import type { DeliveryJob } from "../mail/job.ts";
import type { MessageRecord } from "../mail/record.ts";
import type { Signed } from "../mail/return-path.ts";
import type { SuppressionPlace } from "../suppress/follow.ts";
import type { PackedMessage } from "./pack.ts";

export interface SuppressionChange {
  stream: string;
  email: string;
  removed: boolean;
}

export interface OutboxNeeds {
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** Hands jobs to the queue; throws when it did not take them all. */
  send(jobs: DeliveryJob[]): Promise<void>;
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  getObject(key: string, range?: { offset: number; length: number }): Promise<Uint8Array | undefined>;
  deleteObjects(keys: string[]): Promise<void>;
  /** Puts facts into the archive; says whom it suppressed. May run twice with the same records. */
  record(serverId: number, records: MessageRecord[]): Promise<SuppressionChange[]>;
  /** Puts events into the server's log. May run twice with the same events. */
  tellEvents(serverId: number, events: MailEvent[]): Promise<void>;
  /** Tells the server's other Outboxes. */
  announce(shard: string, changes: SuppressionChange[]): Promise<void>;
  policy(serverId: number): Promise<ServerPolicy | undefined>;
  suppressionChanges(
    serverId: number,
    after: SuppressionPlace,
    limit: number,
  ): Promise<(SuppressionChange & { changedAt: number })[]>;
  registerShard(shard: string): Promise<void>;
  /** The fields that stand before a message: DKIM-Signature, when its domain has a key, and our own. Deterministic. */
  sign(policy: ServerPolicy, message: PackedMessage, bytes: Uint8Array): Promise<string>;
  returnPath(of: Signed, domain: string): Promise<string>;
  /** Of a personal message: the copy of the recipient at that place. */
  copyFor(message: { id: string; bytes: Uint8Array }, place: number): Promise<Uint8Array>;
  randomBytes(count: number): Uint8Array;
  /** Right side of Message-IDs, and the Reporting-MTA of DSNs. */
  mailDomain: string;
  log(event: string, fields: Record<string, unknown>): void;
}

export interface AcceptRequest {
  shard: string;
  messages: {
    message: Omit<PackedMessage, "body">;
    /** The composed bytes, or where R2 has them already when they are too large for a row. */
    body: Uint8Array | { large: string; length: number };
  }[];
  idempotency?: { key: string; bodyHash: string };
  /**
   * From a client that cannot be told of single recipients (SMTP): who is suppressed is recorded as bounced for this
   * reason, and every message is accepted. A repeat of its key is answered without results.
   */
  refuseInactive?: string;
  /** From a caller that only counts: its answer, and that to a repeat of its key, is a number. */
  tally?: true;
  /** Its senders were told long ago that it is accepted: a message whose recipients are all suppressed is taken and recorded so. */
  takeInactive?: true;
}

export type AcceptReply =
  | { kind: "accepted"; results: Accepted[] }
  /** `failed`: refused, or all of its recipients are suppressed. `flowing`: recipients' domains with nothing in their way. */
  | { kind: "tallied"; failed: number; flowing: number }
  /** The idempotency key was used with another body. */
  | { kind: "conflict" }
  /** This Outbox holds as much as it will: ask the next. Nothing was accepted. */
  | { kind: "overloaded" };
