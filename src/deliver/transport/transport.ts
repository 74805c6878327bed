/**
 * A way to the next hop. `send` tries once and says how it ended for each recipient; it does not retry, pace or remember.
 * A failure that concerns the transport and surely sent nothing is an outcome (`concerns: "transport"`): another transport
 * may do better. When nobody knows how it ended the answer is "unknown", and the claim is left to lapse.
 */
import type { Outcome } from "../../mail/outcome.ts";

export interface Parcel {
  /** "<MessageID>/<domain>/<attempt number>", and a place for a recipient's own copy: names this attempt. */
  key: string;
  domain: string;
  reversePath: string;
  recipients: string[];
  /** The bytes as they are to be on the wire, signed. */
  message: Uint8Array;
  tls: "opportunistic" | "require";
  /** Connections that mail for this domain may use. */
  connections: number;
}

export interface Transport {
  send(parcel: Parcel): Promise<Outcome[] | "unknown">;
  /** Nothing more is sent in this call: closes what is open. */
  end?(): void;
}

/** The same end for each recipient, told by us and not by a reply. */
export function alike(parcel: Parcel, at: number, end: Partial<Outcome>): Outcome[] {
  return parcel.recipients.map((recipient) => ({
    recipient,
    result: "deferred",
    reply: { code: 0, enhanced: "", text: "" },
    hop: { host: "", address: "", tls: "" },
    reason: "",
    concerns: "recipient",
    uncertain: false,
    at,
    transcript: [],
    ...end,
  }));
}
