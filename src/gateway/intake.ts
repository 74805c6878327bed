/** What the front door hands on, and what it is told: the border between door/ and spool/. */
import type { Envelope, SmtpAccount } from "../mail/ingress.ts";
import type { Reply } from "../mail/reply.ts";

/** One message, at the end of its DATA. */
export interface Submitted {
  /** undefined: mail for our own domains, taken without AUTH. */
  account?: SmtpAccount;
  envelope: Envelope;
  /** The session's id, which is in the logs and in the Received field. */
  session: string;
  remoteAddress: string;
  /** As it is stored: CRLF line ends, no dot-stuffing, our Received field in front. */
  bytes: Uint8Array;
}

/** The message is on disk somewhere, under this id ("" for inbound mail); or why it is not, as the client is told. */
export type Receipt = { messageId: string } | { reply: Reply };

export interface Intake {
  /** Resolves when the message is on disk somewhere, or certainly not accepted. Never rejects. */
  take(message: Submitted): Promise<Receipt>;
  /** Why a message of so many bytes could not be kept now, at MAIL, when that is known (RFC 1870 §6.1); undefined when it could. */
  refusal(bytes: number): Reply | undefined;
}
