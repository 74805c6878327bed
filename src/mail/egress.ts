/**
 * The wire between the Worker and the gateway's egress, used by both ends.
 *
 * `POST /egress`, `Authorization: Bearer <GATEWAY_SECRET>`, `Content-Type: application/vnd.edgepost.egress`.
 * The body is a series of frames (frame.ts), each the JSON of a `Consignment` and the message's bytes exactly as they are to be
 * on the wire before dot-stuffing (CRLF line ends). Frames may be acted on as they arrive.
 *
 * The response is NDJSON, one `EgressResult` a line, written as each recipient group ends, in any order. A response that
 * ends without a line for some key says nothing about it: the Worker asks again, with the same key.
 *
 * The key names one attempt. A gateway that is asked about a key it is working on joins that work; about one that it
 * has finished lately, it answers from its journal. So a Worker that died while waiting may ask again and no second
 * copy is sent.
 */
import type { Outcome } from "./outcome.ts";

export interface Consignment {
  /** "<MessageID>/<domain>/<attempt number>"; of a copy that is one recipient's own, "/<their place>" behind it. */
  key: string;
  /** Lower-case A-label domain whose MX hosts are to be asked. All recipients are there. */
  domain: string;
  /** MAIL FROM; "" for the null reverse-path. */
  reversePath: string;
  recipients: string[];
  /** How TLS is wanted: `opportunistic` falls back to clear; `require` never does. MTA-STS applies in both. */
  tls: "opportunistic" | "require";
  /** How many connections to this domain the gateway may use for the whole request. */
  connections: number;
}

export interface EgressResult {
  key: string;
  outcomes: Outcome[];
}

/** Postmark's 10 MB after base64, and room for the headers we add. */
export const MAX_MESSAGE_BYTES = 26 * 1024 * 1024;
