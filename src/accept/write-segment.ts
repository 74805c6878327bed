/**
 * Writes messages, as they are sent, into one R2 object: signs what no attempt has signed yet. Of a personal message no bytes are there
 * that were sent. A message that cannot be signed, or whose bytes are nowhere, is left out: it must not keep all others from R2.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import type { KnownServer } from "./known-server.ts";
import type { OutboxNeeds } from "./needs.ts";
import { Segment } from "./segment.ts";
import type { Found, Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";

/** A signature takes half a millisecond of the one thread, in which nothing is accepted: callers get their turn between. */
const SIGNED_PER_TURN = 8;

interface Context {
  store: Store;
  shelf: Shelf;
  server: KnownServer;
  needs: OutboxNeeds;
}

/** What they lack of these packs; returns the packs of which a message was left out. Throws when R2 does not do its part. */
export async function writeSegment(ids: number[], context: Context): Promise<Set<number>> {
  const { shelf, server, needs } = context;
  const leftOut = new Set<number>();
  const missing = ids.flatMap((id) => missingOf(id, shelf));
  if (missing.length === 0) return leftOut;
  const policy = await server.policy();
  if (!policy) throw new Error("the server is not known");
  const members: { found: Found; signature: string; raw: Uint8Array }[] = [];
  let signed = 0;
  for (const found of missing) {
    const { message, progress, pack } = found;
    const isToSign = message.summary.personal !== true && !progress.signature;
    if (isToSign && ++signed % SIGNED_PER_TURN === 0) await scheduler.wait(0);
    const raw = await bytesOf(found, context);
    const signature = raw && (await signatureOf(found, raw, { policy, needs }));
    if (raw && signature !== undefined) members.push({ found, signature, raw });
    else leftOut.add(pack.id);
  }
  if (members.length === 0) return leftOut;
  const segment = new Segment(
    server.shard,
    members.map(({ found }) => found),
  );
  for (const { found, signature, raw } of members) segment.add(found.message.id, signature, raw);
  await needs.putObject(segment.key, segment.bytes());
  // While R2 wrote, the packs may have changed: what is marked is their present state.
  for (const id of ids) mark(id, segment, shelf);
  return leftOut;
}

function missingOf(id: number, shelf: Shelf): Found[] {
  const pack = shelf.pack(id);
  if (!pack?.hasBody) return [];
  return pack.messages.flatMap((_, slot) => {
    const found = shelf.at(pack, slot);
    return found && !found.progress.segment ? [found] : [];
  });
}

/** undefined when nobody has them. */
async function bytesOf({ message, pack }: Found, { store, needs }: Context): Promise<Uint8Array | undefined> {
  const { id, body } = message;
  const raw =
    "large" in body ? await needs.getObject(body.large) : store.bytes(pack.id, body.offset, body.length);
  if (!raw) needs.log("message not archived", { id, error: "its bytes are not there" });
  return raw;
}

/** undefined when it cannot be made, which is said in the log each time. */
async function signatureOf(
  { message, progress }: Found,
  raw: Uint8Array,
  { policy, needs }: { policy: ServerPolicy; needs: OutboxNeeds },
): Promise<string | undefined> {
  if (message.summary.personal === true) return "";
  if (progress.signature) return progress.signature;
  try {
    return await needs.sign(policy, message, raw);
  } catch (error) {
    needs.log("message not archived", { id: message.id, error: String(error) });
    return undefined;
  }
}

function mark(id: number, segment: Segment, shelf: Shelf): void {
  const pack = shelf.pack(id);
  if (!pack) return;
  pack.messages.forEach((message, slot) => {
    const entry = segment.entry(message.id);
    const progress = pack.progress[slot];
    if (!entry || !progress || progress.segment) return;
    progress.segment = { key: segment.key, offset: entry.offset, length: entry.length };
    if (!message.summary.personal) progress.signature ??= entry.signature;
  });
  pack.hasBody = pack.progress.some((p) => !p.segment);
  shelf.touch(pack);
}
