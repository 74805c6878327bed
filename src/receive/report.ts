/** What a message that came back turned out to be. */
import type { Reply } from "../mail/reply.ts";
import type { BounceTypeName } from "../smtp/bounce-type.ts";
import type { Original } from "./original.ts";

export type Action = "failed" | "delayed" | "delivered" | "relayed" | "expanded";

/** What a DSN says of one recipient (RFC 3464 §2.3). */
export interface ReportedRecipient {
  /** The Final-Recipient, else what stands for it; "" when the report names nobody. */
  address: string;
  /** The Original-Recipient: the address that the message was sent to, where the server tells; else "". */
  original: string;
  action: Action;
  /** "5.1.1"; "" when none is given. */
  status: string;
  /** What the refusing server said, as well as it can be told; code 0 when it is in words only. */
  reply: Reply;
  /** For people: "smtp; 550 5.1.1 no such user", or the explanation of a report without a diagnostic. */
  details: string;
  /** "" when not told. */
  remoteMta: string;
  /** Of a failure and of a delay; undefined when the message arrived. */
  type?: BounceTypeName;
}

export type Report =
  /** At least one recipient failed, or all arrived. */
  | { kind: "dsn"; recipients: ReportedRecipient[]; reportingMta: string; original: Original }
  /** Nobody failed so far: the message is late. */
  | { kind: "delay"; recipients: ReportedRecipient[]; reportingMta: string; original: Original }
  | {
      kind: "complaint";
      /** "abuse", "fraud", "virus", "other": RFC 5965 §7.3. */
      feedbackType: string;
      /** Whole addresses only: redacted ones are left out. */
      recipients: string[];
      original: Original;
    }
  /** `newAddress` is "" when none is given in so many words. */
  | { kind: "address-change"; newAddress: string; from: string; original: Original }
  | { kind: "auto-reply" | "challenge" | "unsubscribe" | "subscribe"; from: string; original: Original }
  /** A person's answer, a report of another kind, spam: `reason` says which. */
  | { kind: "other"; reason: string; from: string; original: Original }
  /** Beyond the bounds, or no message at all: nothing of it is used. */
  | { kind: "unreadable"; reason: string };
