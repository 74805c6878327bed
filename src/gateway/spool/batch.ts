/**
 * Makes batches of messages that have come together: one server and region each, with a key, an Outbox and MessageIDs. Pure; the
 * bytes of a message are copied once, into the frame that is sent or written.
 */
import { encodeFrame } from "../../mail/frame.ts";
import {
  type Batch,
  type BatchMessage,
  type EnvelopeRecipient,
  type IngressResult,
  MAX_BATCH_BYTES,
  MAX_BATCH_MESSAGES,
} from "../../mail/ingress.ts";
import { formatMessageId } from "../../mail/message-id.ts";
import type { Receipt, Submitted } from "../intake.ts";

/** Of one request, in all its batches: what a Worker, which has 128 MB, holds of it at once. */
const MAX_REQUEST_BYTES = MAX_BATCH_BYTES;
/** One server's mail is then one batch, whose frame is the request's body as it is. */
const MAX_REQUEST_MESSAGES = MAX_BATCH_MESSAGES;
/** Half of what frame.ts takes as a frame's JSON, since the estimate may be wrong by a factor of two: `"` and "ü" are two bytes. */
const MAX_HEAD_ESTIMATE = 512 * 1024;

/** A message that waits for its receipt. */
export interface Arrival {
  message: Submitted;
  /** By a clock that does not jump. */
  at: number;
  settle(receipt: Receipt): void;
}

export interface FormedBatch {
  batch: Batch;
  /** As it is sent, and as it is spooled. */
  frame: Uint8Array;
  arrivals: Arrival[];
  group: string;
}

export interface BatchSources {
  now(): number;
  newKey(): string;
  randomBytes(count: number): Uint8Array;
  /** An integer from 0 to below `limit`. */
  randomBelow(limit: number): number;
}

interface Open {
  arrivals: Arrival[];
  bytes: number;
  head: number;
}

/** Whose trouble it is when a batch is not taken: a server's, or that of inbound mail. Part of file names. */
export function groupOf(serverId: number | undefined): string {
  return serverId === undefined ? "inbound" : String(serverId);
}

/** How many of the first arrivals one request may carry, which is one at least; and whether no more would go into it. */
export function firstRequest(arrivals: readonly Arrival[]): { count: number; isFull: boolean } {
  let bytes = 0;
  let count = 0;
  for (const { message } of arrivals) {
    bytes += message.bytes.length;
    if (count > 0 && bytes > MAX_REQUEST_BYTES) return { count, isFull: true };
    count++;
    if (count === MAX_REQUEST_MESSAGES) return { count, isFull: true };
  }
  return { count, isFull: false };
}

export function formBatches(arrivals: readonly Arrival[], sources: BatchSources): FormedBatch[] {
  const open = new Map<string, Open>();
  const full: Open[] = [];
  for (const arrival of arrivals) {
    const { account, bytes } = arrival.message;
    const place = account ? `${account.serverId}/${account.region}/${account.shards}` : "";
    const head = headEstimate(arrival.message);
    let batch = open.get(place);
    if (batch && !hasRoom(batch, bytes.length, head)) {
      full.push(batch);
      batch = undefined;
    }
    if (!batch) {
      batch = { arrivals: [], bytes: 0, head: 0 };
      open.set(place, batch);
    }
    batch.arrivals.push(arrival);
    batch.bytes += bytes.length;
    batch.head += head;
  }
  return [...full, ...open.values()].map((batch) => form(batch.arrivals, sources));
}

function hasRoom(batch: Open, bytes: number, head: number): boolean {
  return (
    batch.arrivals.length < MAX_BATCH_MESSAGES &&
    batch.bytes + bytes <= MAX_BATCH_BYTES &&
    batch.head + head <= MAX_HEAD_ESTIMATE
  );
}

/** About how long the message's part of the JSON is. */
export function headEstimate({ envelope }: Submitted): number {
  const one = ({ address, orcpt = "" }: EnvelopeRecipient) => address.length + orcpt.length + 60;
  return 600 + envelope.recipients.reduce((sum, recipient) => sum + one(recipient), 0);
}

function form(arrivals: Arrival[], sources: BatchSources): FormedBatch {
  const account = arrivals[0]?.message.account;
  const acceptedAt = sources.now();
  const place = account && {
    acceptedAt,
    region: account.region,
    number: sources.randomBelow(Math.max(1, account.shards)),
  };
  const messages = arrivals.map(({ message }): BatchMessage => {
    const { envelope, session, remoteAddress, bytes } = message;
    const stream = message.account?.stream;
    return {
      messageId: place ? formatMessageId(place, sources.randomBytes(8)) : "",
      envelope,
      session,
      remoteAddress,
      ...(stream === undefined ? {} : { stream }),
      length: bytes.length,
    };
  });
  const serverId = account?.serverId;
  const batch: Batch = {
    v: 1,
    key: sources.newKey(),
    ...(serverId === undefined ? {} : { serverId }),
    messages,
  };
  const frame = encodeFrame(batch, ...arrivals.map(({ message }) => message.bytes));
  return { batch, frame, arrivals, group: groupOf(serverId) };
}

/** One request's body. The frames of several batches become parts of it, so that each is in memory once. */
export function joinFrames(batches: FormedBatch[]): Uint8Array {
  const [first] = batches;
  if (first && batches.length === 1) return first.frame;
  const joined = new Uint8Array(batches.reduce((sum, { frame }) => sum + frame.length, 0));
  let offset = 0;
  for (const batch of batches) {
    joined.set(batch.frame, offset);
    batch.frame = joined.subarray(offset, offset + batch.frame.length);
    offset += batch.frame.length;
  }
  return joined;
}

/** The Worker has it: each session is told. */
export function settleWith({ batch, arrivals }: FormedBatch, results: IngressResult[]): void {
  arrivals.forEach((arrival, i) => {
    const result = results[i];
    const messageId = batch.messages[i]?.messageId ?? "";
    arrival.settle(result && !result.accepted ? { reply: result.reply } : { messageId });
  });
}
