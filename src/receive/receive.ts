/**
 * The gate for what comes in: mail for our own addresses, from the front door and from Email Routing alike. It is in R2, whole and as it
 * came, before anybody is told that it was taken. What lies under `received/` waits to be read.
 */
import { encodeFrame } from "../mail/frame.ts";
import type { Envelope } from "../mail/ingress.ts";

/** What stands before the bytes in the object (mail/frame.ts). */
export interface Received {
  v: 1;
  envelope: Envelope;
  /** How it came. */
  via: "gateway" | "email-routing";
  /** The client's address; "" where the platform does not say. */
  remoteAddress: string;
  /** The gateway's session; "" for others. */
  session: string;
  /** Milliseconds since the epoch. */
  receivedAt: number;
}

export interface ReceiveNeeds {
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  /** Hands the object on to be read. Nobody waits for it, and it may fail: what is not read is found again (left-over.ts). */
  handOn(objectKey: string): void;
}

export const RECEIVED = "received/";

/** `key` names this delivery: the same again writes the same object again. Throws when R2 does not have it. */
export async function receive(
  key: string,
  received: Received,
  raw: Uint8Array,
  needs: ReceiveNeeds,
): Promise<void> {
  const object = `${RECEIVED}${key}`;
  await needs.putObject(object, encodeFrame(received, raw));
  needs.handOn(object);
}
