/**
 * The wire between a gateway's front door and the Worker, used by both ends. All of it is under `Authorization: Bearer
 * <GATEWAY_SECRET>`.
 *
 * `POST /gateway/authenticate` takes a `Login` and answers an `AuthAnswer`. `GET /gateway/domains` answers `OwnDomains`.
 * `POST /gateway/recipients` takes `{addresses}` and answers `{known: boolean[]}`: which of them mail may be taken for without AUTH.
 *
 * `POST /gateway/ingress` takes frames (frame.ts): each a `Batch` as JSON and its messages' bytes, one after the other. The response is
 * NDJSON, a `BatchResult` a line, in any order. A response that ends without a line for some key says nothing about it: the gateway
 * asks again, with the same key and the same messages, and an Outbox that has them answers what it answered before.
 */
import type { Region } from "./message-id.ts";
import type { Reply } from "./reply.ts";

export interface Login {
  user: string;
  password: string;
  remoteAddress: string;
}

/** Who has logged in, and where its messages are to be accepted. Plain values: the gateway keeps it on disk. */
export interface SmtpAccount {
  serverId: number;
  /** The stream that an SMTP token is bound to; undefined for a server token: a header names the stream then. */
  stream?: string;
  /** The gateway makes MessageIDs, and they name an Outbox: one of those in this region, numbers 0 to `shards` - 1. */
  region: Region;
  shards: number;
}

export type AuthAnswer = { account: SmtpAccount } | { refused: string };

export interface OwnDomains {
  /** Lower-case domains whose mail is taken without AUTH. */
  inbound: string[];
  returnPath: string[];
}

export type Notify = "NEVER" | "SUCCESS" | "FAILURE" | "DELAY";

export interface EnvelopeRecipient {
  /** Bare; the domain as lower-case A-labels. */
  address: string;
  /** RFC 3461 §4.1; undefined when not given. */
  notify?: Notify[];
  /** RFC 3461 §4.2: "rfc822;user@example.com", decoded. */
  orcpt?: string;
}

export interface Envelope {
  /** MAIL FROM; "" for the null reverse-path. */
  reversePath: string;
  recipients: EnvelopeRecipient[];
  /** RFC 3461 §4.3 and §4.4. */
  ret?: "FULL" | "HDRS";
  envid?: string;
}

/** One message of a batch; its bytes are `length` of the frame's body, after those of the messages before it. */
export interface BatchMessage {
  /** Made by the gateway (message-id.ts), so that the `250` can name it before the Worker has it. "" for inbound. */
  messageId: string;
  envelope: Envelope;
  /** The gateway's id for the SMTP session, which is in its logs and in the Received field. */
  session: string;
  remoteAddress: string;
  /** From the session's SMTP token; see `SmtpAccount`. */
  stream?: string;
  length: number;
}

/** Messages of one server for one Outbox, or of none (inbound mail); accepted together, exactly once for its key. */
export interface Batch {
  v: 1;
  /** A UUID. */
  key: string;
  /** undefined: mail for our own domains, taken without AUTH. */
  serverId?: number;
  messages: BatchMessage[];
}

/** One message's answer. What the API would refuse is accepted all the same, and recorded as an SMTPApiError bounce. */
export type IngressResult = { accepted: true } | { accepted: false; reply: Reply };

/** Without `results`, nothing of the batch was accepted now and it may be sent again. */
export interface BatchResult {
  key: string;
  results?: IngressResult[];
}

/** SIZE as the door announces it: Postmark's limit (contract §20). */
export const MAX_SUBMISSION_BYTES = 10_485_760;
/** What one frame may carry: a message of the full size with its Received field, or many small ones. */
export const MAX_BATCH_BYTES = 12 * 1024 * 1024;
export const MAX_BATCH_MESSAGES = 64;
