/** How one attempt at one recipient ended. `delivered` says that the next hop took it, no more. */
import type { Exchange, Reply } from "./reply.ts";

export type TransportName = "gateway" | "smarthost" | "cloudflare" | "sandbox";

/** Where the mail went, or tried to go. */
export interface NextHop {
  /** The MX, smarthost or product's name; "" when none was reached. */
  host: string;
  address: string;
  /** "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in clear. */
  tls: string;
}

export interface Outcome {
  /** Bare address, as it was in the envelope. */
  recipient: string;
  result: "delivered" | "deferred" | "bounced";
  reply: Reply;
  hop: NextHop;
  /** Why, for people, when the reply alone does not say it: "null MX", "connection lost after the final dot". */
  reason: string;
  /**
   * What the failure is about. `recipient`: this address alone. `destination`: everything for this domain
   * (connect failures, 421, policy). `transport`: our side (the gateway is away): another transport may do better.
   */
  concerns: "recipient" | "destination" | "transport";
  /** The connection, or a gateway that was then asked again, ended between the final dot and its reply: the mail may have been taken (RFC 1047). */
  uncertain: boolean;
  /** Milliseconds since the epoch: when the attempt ended. */
  at: number;
  transcript: Exchange[];
  /** Postmark's type, when it is known better than the reply says it: the bounce-testing addresses. */
  bounceType?: string;
}
