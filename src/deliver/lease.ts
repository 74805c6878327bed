/** What a consumer and a Destination say to each other. Plain values: they travel between Workers. */
import type { TransportName } from "../mail/outcome.ts";
import type { Evidence } from "./evidence.ts";

/** A consumer's call has one lease for each destination. */
export interface Ask {
  /** The call's own name. */
  claimer: string;
  /** Messages that wait to begin. */
  wanted: number;
}

export interface Report extends Ask {
  /** One for each message that ended since the last report. */
  evidence: Evidence[];
  /** Still under way, and with how many connections: so that an object which lost its memory knows. */
  underWay: number;
  lanes: number;
}

/** What it may do now. */
export interface Answer {
  /** How many more messages may begin. */
  count: number;
  /** Connections that the lease's messages may use together. */
  lanes: number;
  /** Connections that all mail for the destination may use together; a gateway counts them over all its requests. */
  connections: number;
  /** The first of them after so long, and each next so long after the one before. */
  firstMs: number;
  everyMs: number;
  /** When to ask again for the rest; 0 is with the next outcomes. */
  askAgainMs: number;
  /** Nothing more begins now: give the rest back until then. */
  wait?: Wait;
  /** Transports that this destination's mail avoids now. */
  avoid: TransportName[];
  /** The avoided transport that one of the messages is to try. */
  trial?: TransportName;
  /** The domain's mail counts to this provider, which takes it: what is to begin is to be asked for there. */
  goesTo?: string;
}

export interface Wait {
  /** Milliseconds since the epoch. */
  until: number;
  /** For people. */
  reason: string;
  /** How many may come back then. */
  admit: number;
}

export const NOTHING: Answer = {
  count: 0,
  lanes: 0,
  connections: 1,
  firstMs: 0,
  everyMs: 0,
  askAgainMs: 0,
  avoid: [],
};
