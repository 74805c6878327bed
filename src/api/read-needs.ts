/** What reading needs of the world, and the questions that its routes ask: whose request, which message, what bytes. */
import { factsOfMessage, type MessageFacts, NO_FACTS } from "../archive/message-facts.ts";
import type { PendingNow } from "../archive/pending.ts";
import { findMessage, type ListQuery } from "../archive/read.ts";
import { parseMessageId } from "../mail/message-id.ts";
import type { MessageRecord } from "../mail/record.ts";
import type { AuthenticateNeeds } from "./authenticate.ts";
import { Unavailable } from "./error.ts";

export interface ReadNeeds extends Pick<AuthenticateNeeds, "authenticate" | "retryAfter"> {
  archive(serverId: number): D1Database;
  directory: D1Database;
  /** What Outboxes hold that the archive does not yet have, or has an older version of. */
  pending(serverId: number, query: ListQuery, request: Request): Promise<PendingNow>;
  /** One message that an Outbox still holds. */
  held(serverId: number, messageId: string): Promise<Held | undefined>;
  segment(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Of a message whose links differ for each recipient: the copy of the one at that place. */
  copyFor(message: { id: string; bytes: Uint8Array }, place: number): Promise<Uint8Array>;
  /** Tells every Outbox of the server of a change in suppressions. */
  announce(serverId: number, changes: { stream: string; email: string; removed: boolean }[]): Promise<void>;
  now(): number;
}

export interface Held {
  record: MessageRecord;
  raw?: Uint8Array;
}

/** What the archive answers; when it does not, the caller is told to come again, and loses nothing. */
export async function fromArchive<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("The message archive cannot be read at the moment. Please try again.", { cause });
  }
}

/** The same for the directory, for what cannot be done without it. */
export async function fromDirectory<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("Suppressions cannot be changed or read at the moment. Please try again.", {
      cause,
    });
  }
}

/** Tells Outboxes what the directory has already. */
export async function announce(
  needs: ReadNeeds,
  serverId: number,
  changes: { stream: string; email: string; removed: boolean }[],
): Promise<void> {
  if (changes.length === 0) return;
  try {
    await needs.announce(serverId, changes);
  } catch {
    // An Outbox that was not reached reads the change in the directory, within half a minute.
  }
}

/**
 * The message as whoever knows most of it tells it: its Outbox, which knows each change first, or else the archive. Both are asked at
 * once. Undefined when neither has it; throws `Unavailable` when one is away and the other has it not, since then nobody can tell.
 */
export async function readMessage(
  needs: ReadNeeds,
  serverId: number,
  messageId: string,
): Promise<Held | undefined> {
  const id = messageId.toLowerCase();
  if (!parseMessageId(id)) return undefined;
  const find = () => findMessage(needs.archive(serverId), serverId, id);
  const [held, archived] = await Promise.all([settled(needs.held(serverId, id)), settled(find())]);
  if (held.value) return held.value;
  if (archived.value && isEnded(archived.value)) return { record: archived.value };
  // An Outbox lets go only of what has ended, and after the archive has that: this was read a moment before, or there is no such message.
  const record = await fromArchive(find());
  if (record) return { record };
  if (held.error)
    throw new Unavailable("The message cannot be looked up at the moment. Please try again.", {
      cause: held.error,
    });
  return undefined;
}

/** Nothing more becomes of it in its Outbox. */
function isEnded({ segment, recipients }: MessageRecord): boolean {
  return segment !== undefined && recipients.every((r) => r.state !== "waiting");
}

/**
 * The bytes as they were sent; undefined when nobody has them any more. Of a message that went to several, each with links of their own,
 * those that the first got.
 */
export async function readRaw(needs: ReadNeeds, held: Held): Promise<Uint8Array | undefined> {
  const bytes = await storedBytes(needs, held);
  const { id, summary } = held.record;
  return bytes && summary.personal ? needs.copyFor({ id, bytes }, 0) : bytes;
}

async function storedBytes(needs: ReadNeeds, { record, raw }: Held): Promise<Uint8Array | undefined> {
  if (raw || !record.segment) return raw;
  const { key, offset, length } = record.segment;
  return needs.segment(key, offset, length);
}

/** What became of a message since; nothing when the archive cannot say: what its Outbox knows is worth showing without. */
export async function readFacts(needs: ReadNeeds, { record }: Held): Promise<MessageFacts> {
  try {
    return await factsOfMessage(needs.archive(record.serverId), record.serverId, record.id);
  } catch {
    // The archive is away, which readMessage would have said if it had been asked.
    return NO_FACTS;
  }
}

async function settled<T>(promise: Promise<T>): Promise<{ value?: T; error?: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    // The caller asks elsewhere first, and then decides.
    return { error };
  }
}
