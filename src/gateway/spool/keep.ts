/** Puts a batch on the disk, as one file, or says why it is not there. The only writer of the spool's files. */

import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import type { Reply } from "../../mail/reply.ts";
import { encodeFile, type Head, writeDurably } from "./file.ts";
import { type Entry, type Folder, newEntry, type Place } from "./folder.ts";
import type { SpoolMetrics } from "./metrics.ts";
import { FULL, type Room, replyOf } from "./room.ts";
import type { WaitingList } from "./waiting.ts";

export interface KeepNeeds {
  folder: Folder;
  room: Room;
  waiting: WaitingList;
  metrics: SpoolMetrics;
  log(event: string, fields: Record<string, unknown>): void;
}

export interface Kept {
  group: string;
  head: Omit<Head, "v" | "frameBytes">;
  frame: Uint8Array;
}

export class Keep {
  readonly #needs: KeepNeeds;
  /** The last write failed; the next that succeeds ends it. */
  isFailing = false;

  constructor(needs: KeepNeeds) {
    this.#needs = needs;
  }

  /** Never rejects: the reply is for the client. */
  async write(place: Place, { group, head, frame }: Kept): Promise<Entry | Reply> {
    const { folder, room, waiting, metrics, log } = this.#needs;
    const parts = encodeFile(head, frame);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const { key, messages } = head;
    const entry = newEntry({ at: Date.now(), group, messages, bytes, key });
    await room.look();
    if (!room.has(bytes)) {
      metrics.failures.inc({ why: "full" });
      return FULL;
    }
    // Its own name, and not the key's: two writes of one batch must not meet.
    const temporary = folder.pathOf("writing", randomUUID());
    room.writing += bytes;
    if (place === "waiting") waiting.expect(entry);
    try {
      await writeDurably(temporary, parts);
      await folder.publish(temporary, place, entry.name);
      if (place === "waiting") waiting.add(entry);
      room.wrote(bytes);
      this.isFailing = false;
      return entry;
    } catch (error) {
      const reply = replyOf(error);
      room.doubt();
      this.isFailing = true;
      metrics.failures.inc({ why: reply === FULL ? "full" : "error" });
      log("spool: could not write", { key, messages, error: String(error) });
      // When it can't be removed either, it goes at the next start.
      await rm(temporary, { force: true }).catch(() => undefined);
      return reply;
    } finally {
      waiting.expectNoMore(entry);
      room.writing -= bytes;
    }
  }

  /** With a file that is as good as empty. */
  async canWrite(): Promise<boolean> {
    const temporary = this.#needs.folder.pathOf("writing", randomUUID());
    try {
      await writeDurably(temporary, [Buffer.from("can this be written?\n")]);
      return true;
    } catch {
      // That is the answer.
      return false;
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }
}

export function isReply(kept: Entry | Reply): kept is Reply {
  return "code" in kept;
}
