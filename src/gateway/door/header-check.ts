/** Bounds on a message's header, checked before anything parses it: a hundred Received fields are a loop, and half a megabyte is an attack. */
import type { Reply } from "../../mail/reply.ts";
import type { DoorLimits } from "../config.ts";
import { reply } from "./reply.ts";

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;

/** As Postfix has it (header_size_limit): folded or not, no field of a real message is so long. */
const MAX_FIELD_BYTES = 102_400;

export type HeaderLimits = Pick<DoorLimits, "headerBytes" | "headerFields" | "receivedFields">;

/** Why a message with this header is not taken. `message` has CRLF line ends only. */
export function headerRefusal(message: Buffer, limits: HeaderLimits): Reply | undefined {
  let fields = 0;
  let received = 0;
  let fieldAt = 0;
  for (let at = 0; at < message.length; ) {
    const first = message[at];
    // An empty line: here the body begins.
    if (first === CR) break;
    if (first !== SPACE && first !== TAB) {
      fieldAt = at;
      fields++;
      if (isReceived(message, at)) received++;
    }
    const lf = message.indexOf(LF, at);
    at = lf < 0 ? message.length : lf + 1;
    if (at > limits.headerBytes) return reply(552, "5.3.4", "the header of the message is too large");
    if (at - fieldAt > MAX_FIELD_BYTES) return reply(552, "5.3.4", "a header field is too long");
    if (fields > limits.headerFields) return reply(554, "5.6.0", "too many header fields");
    // RFC 5321 §6.3.
    if (received > limits.receivedFields)
      return reply(554, "5.4.6", "too many hops: this mail goes in circles");
  }
  return undefined;
}

const RECEIVED = "received:";

function isReceived(message: Buffer, at: number): boolean {
  // Lower case or upper: most lines are told apart by their first letter.
  if (((message[at] ?? 0) | 0x20) !== 0x72) return false;
  return message.toString("latin1", at, at + RECEIVED.length).toLowerCase() === RECEIVED;
}
