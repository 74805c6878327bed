/**
 * What stages say to each other about deliveries. The Outbox that accepted a message knows each recipient that is not
 * final, hands jobs over through the queue, and is the only one that may be asked for a claim: so a queue may lose,
 * repeat or reorder jobs without harm.
 */
import type { Outcome, TransportName } from "./outcome.ts";

/** A message's recipients at one domain: the unit that is claimed, sent in one SMTP transaction, and settled. */
export interface JobRef {
  messageId: string;
  /** Lower-case A-label domain. */
  domain: string;
}

/** A queue message. Bodies never travel here. */
export interface DeliveryJob {
  v: 1;
  /** "7/weur/0": the Outbox to claim from. */
  shard: string;
  refs: JobRef[];
}

/** What a successful claim gives: all that an attempt needs. */
export interface Claim extends JobRef {
  serverId: number;
  stream: string;
  /** Counted from 1: the attempt that this claim is for. */
  attempt: number;
  recipients: string[];
  /** Of a personal message: where each recipient stands in the message's list. Each gets a copy of their own, signed by itself. */
  places?: number[];
  reversePath: string;
  /** Of the copies for `places`, in their order. */
  reversePaths?: string[];
  acceptedAt: number;
  /** Header From's domain: the DKIM signing domain and selector are chosen from it. */
  fromDomain: string;
  /** Transports in the order to try them. */
  transports: TransportName[];
  /** X-PM-Bounce-Type, for the bounce-testing addresses; "" when not given. */
  bounceType: string;
  message: MessageSource;
}

export type MessageSource =
  | { kind: "bytes"; bytes: Uint8Array; signed: boolean }
  | { kind: "segment"; key: string; offset: number; length: number; signed: boolean };

/** How an attempt ended, for each recipient of the claim. */
export interface Settlement extends JobRef {
  /** Who claimed it. */
  claimer?: string;
  attempt: number;
  transport: TransportName;
  /** The header fields that were prepended, DKIM-Signature and our own; "" when the message had them already. */
  signature: string;
  outcomes: Outcome[];
}

/** A destination that takes nothing now: not an attempt, only a reason to wait. */
export interface Hold {
  domain: string;
  refs: JobRef[];
  /** Milliseconds since the epoch: when to hand over again. */
  until: number;
  /** For people: "gmail.com: 3 of 3 connections busy". */
  reason: string;
  /** How many refs of this domain to hand over then; the rest wait for how those go. */
  admit: number;
}

/** The Outbox, as the stage that delivers sees it. Every method may be called twice with the same values. */
export interface OutboxPort {
  /**
   * Takes the refs that are open and not claimed by another. Others are left out: final, or claimed. Stops before the bytes
   * exceed a few MB: what is neither in `claims` nor in `gone` can be claimed in a further call.
   */
  claim(refs: JobRef[], claimer: string): Promise<{ claims: Claim[]; gone: JobRef[] }>;
  /** Says that these are still being worked on: to be called every RENEW_MS, or the claim lapses after CLAIM_MS. */
  renew(refs: JobRef[], claimer: string): Promise<void>;
  settle(settlements: Settlement[]): Promise<void>;
  hold(holds: Hold[]): Promise<void>;
}

export const CLAIM_MS = 15_000;
export const RENEW_MS = 4_000;
