/**
 * What the Worker refused of a spooled batch, whose clients have long had their 250: kept in `held` with the replies, for a person.
 * It gets a key of its own, since the batch's key is used up by the messages that were accepted; made from that key, so that a
 * batch which is answered twice is held once.
 */
import { createHash } from "node:crypto";
import { encodeFrame } from "../../mail/frame.ts";
import type { Batch, IngressResult } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import { openFrame, type SpoolFile } from "./file.ts";
import type { Entry, Folder } from "./folder.ts";
import { isReply, type Keep } from "./keep.ts";
import { countBatch, type SpoolMetrics } from "./metrics.ts";

interface HoldNeeds {
  folder: Folder;
  keep: Keep;
  metrics: SpoolMetrics;
  log(event: string, fields: Record<string, unknown>): void;
}

/** Rejects when it could not be written: the batch waits on then. */
export async function holdRefused(
  entry: Entry,
  { file, results }: { file: SpoolFile; results: IngressResult[] },
  needs: HoldNeeds,
): Promise<void> {
  const { folder, keep, metrics, log } = needs;
  const key = keyAfter(entry.key);
  const refused = results.flatMap((result, i) => (result.accepted ? [] : [{ i, reply: result.reply }]));
  const replies = refused.map(({ reply }) => reply);
  if (await isHeld(folder, key)) return;
  const frame = await frameOf(file, key, new Set(refused.map(({ i }) => i)));
  const head = { key, at: file.head.at, messages: refused.length, refused: replies };
  const kept = await keep.write("held", { group: entry.group, head, frame });
  if (isReply(kept)) throw new Error("what was refused could not be kept");
  countBatch(metrics, "held", refused.length);
  const [reply] = replies as [Reply];
  log("spool: refused after its 250, held", {
    alarm: true,
    key,
    of: entry.key,
    messages: refused.length,
    reply,
  });
}

async function frameOf(file: SpoolFile, key: string, indexes: ReadonlySet<number>): Promise<Uint8Array> {
  const { batch, bodies } = await openFrame(file.frame);
  const held: Batch = { ...batch, key, messages: batch.messages.filter((_, i) => indexes.has(i)) };
  return encodeFrame(held, ...bodies.filter((_, i) => indexes.has(i)));
}

/** Refusals are rare, and `held` is short: a person looks after it. */
async function isHeld(folder: Folder, key: string): Promise<boolean> {
  for await (const entry of folder.entries("held")) if (entry.key === key) return true;
  return false;
}

/** A UUID of version 8 (RFC 9562 §5.8). */
export function keyAfter(key: string): string {
  const hex = createHash("sha256").update(`refused of ${key}`).digest("hex");
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
