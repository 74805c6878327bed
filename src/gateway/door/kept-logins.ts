/**
 * Logins that the Worker has found good within a day, on disk, so that a gateway which is restarted while the Worker is away still takes
 * its clients' mail. Tokens have 122 random bits, so that a hash of them is as good as nothing to whoever reads the file. A login counts
 * once it is on disk.
 */
import { join } from "node:path";
import * as z from "zod";
import type { SmtpAccount } from "../../mail/ingress.ts";
import { REGIONS } from "../../mail/message-id.ts";
import { readStateFile, writeStateFile } from "./state-file.ts";

const KEEP_MS = 24 * 3_600_000;
/** A busy client logs in thousands of times; its time on disk is renewed so often. */
const RENEW_MS = 3_600_000;
/** About 2 MB of file. */
const MAX_LOGINS = 10_000;
/** What comes within this is one write. */
const DEBOUNCE_MS = 1_000;

export const AccountShape = z.object({
  serverId: z.number().int().positive(),
  stream: z.string().max(100).optional(),
  region: z.enum(REGIONS),
  shards: z.number().int().min(1).max(16),
}) satisfies z.ZodType<SmtpAccount>;

const FileShape = z.object({
  v: z.literal(1),
  logins: z.array(z.object({ hash: z.string().max(64), at: z.number(), account: AccountShape })),
});

interface Kept {
  at: number;
  account: SmtpAccount;
}

export class KeptLogins {
  readonly #path: string;
  readonly #log: (event: string, fields: Record<string, unknown>) => void;
  #logins = new Map<string, Kept>();
  /** What is on disk of it. */
  #saved = new Map<string, Kept>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string, log: (event: string, fields: Record<string, unknown>) => void) {
    this.#path = join(folder, "auth.json");
    this.#log = log;
  }

  async load(): Promise<void> {
    try {
      const text = await readStateFile(this.#path);
      if (text === undefined) return;
      for (const { hash, ...kept } of FileShape.parse(text).logins) this.#logins.set(hash, kept);
      this.#saved = new Map(this.#logins);
    } catch (error) {
      // The Worker can be asked again; only while it is away are these clients told to come later.
      this.#log("kept logins are lost", { error: String(error).slice(0, 300) });
    }
  }

  get(hash: string): SmtpAccount | undefined {
    const kept = this.#saved.get(hash);
    return kept && kept.at > Date.now() - KEEP_MS ? kept.account : undefined;
  }

  keep(hash: string, account: SmtpAccount): void {
    const kept = this.#logins.get(hash);
    // What the disk did not take is tried again.
    const isSaved = kept !== undefined && kept === this.#saved.get(hash);
    const isSame = isSaved && JSON.stringify(kept.account) === JSON.stringify(account);
    if (isSame && kept.at > Date.now() - RENEW_MS) return;
    // Deleted first, so that the map stays in the order of time.
    this.#logins.delete(hash);
    this.#logins.set(hash, { at: Date.now(), account });
    for (const oldest of this.#logins.keys()) {
      if (this.#logins.size <= MAX_LOGINS) break;
      this.#logins.delete(oldest);
    }
    this.#soon();
  }

  /** It is no good any more. */
  remove(hash: string): void {
    this.#saved.delete(hash);
    if (this.#logins.delete(hash)) this.#soon();
  }

  /** All is on disk when it resolves. */
  async end(): Promise<void> {
    if (this.#timer) this.#write();
    await this.#writing;
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.#write(), DEBOUNCE_MS);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#save());
  }

  async #save(): Promise<void> {
    const snapshot = new Map(this.#logins);
    const logins = [...snapshot].map(([hash, kept]) => ({ hash, ...kept }));
    try {
      await writeStateFile(this.#path, JSON.stringify({ v: 1, logins }));
    } catch (error) {
      // A full disk, most likely: what is kept there is what was.
      this.#log("logins could not be kept", { error: String(error).slice(0, 300) });
      return;
    }
    // Without what was removed meanwhile.
    this.#saved = new Map([...snapshot].filter(([hash]) => this.#logins.has(hash)));
  }
}
