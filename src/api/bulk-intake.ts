/**
 * Takes a bulk request in while it arrives: each message is checked and handed on with its neighbours, a megabyte at a time, so that
 * 50 MB of them never lie in memory together. Whether it is accepted is decided at its end.
 */
import type { BulkPort } from "../accept/bulk.ts";
import type { BulkMessage } from "../accept/bulk-message.ts";
import { readOwn } from "./bulk-fields.ts";
import { BulkMerges } from "./bulk-merges.ts";
import type { BulkProblems } from "./bulk-problems.ts";
import { type ApiError, apiError, type Result, Unavailable } from "./error.ts";
import { parseJson, readChunks } from "./json-body.ts";
import { CutError, JsonCutter, type Piece } from "./json-cutter.ts";

const MB = 1024 * 1024;
export const MAX_BULK_BYTES = 50 * MB;
/** Of one message's own fields, or of a field that all share: JSON may take three bytes for one, and a message 10 MB. */
const MAX_PIECE_BYTES = 16 * MB;
const MAX_SHARED_BYTES = 24 * MB;
/** A part of what is stored: read as a whole when its messages are released. */
const PART_BYTES = MB;
const PART_MESSAGES = 500;
const LIST = "messages";

const NO_OBJECT = apiError(402, "Invalid JSON: a JSON object was expected.");
const NOT_PARSED = apiError(402, "Invalid JSON: the request body could not be parsed.");
const TOO_LARGE = apiError(300, "The message is larger than 10 MB.");

export interface TakenIn {
  /** What is not `Messages`, as it was written. */
  members: Record<string, unknown>;
  total: number;
  parts: number;
  /** SHA-256, hex, of each part. */
  hashes: string[];
}

export class BulkIntake {
  readonly #port: Pick<BulkPort, "put"> | undefined;
  readonly #id: string;
  readonly #problems: BulkProblems;
  readonly #merges = new BulkMerges();
  readonly #cutter = new JsonCutter({
    isList: (key) => key.toLowerCase() === LIST,
    maxPiece: MAX_PIECE_BYTES,
  });
  readonly #taken: TakenIn = { members: Object.create(null), total: 0, parts: 0, hashes: [] };
  #sharedBytes = 0;
  #refusal: ApiError | undefined;
  #part: string[] = [];
  #partBytes = 0;

  /** Without a port everything is checked and nothing kept. */
  constructor(port: Pick<BulkPort, "put"> | undefined, id: string, problems: BulkProblems) {
    this.#port = port;
    this.#id = id;
    this.#problems = problems;
  }

  get merges(): BulkMerges {
    return this.#merges;
  }

  /** An error is one of the whole body: what it holds cannot be told. */
  async read(request: Request): Promise<Result<TakenIn>> {
    const body = await readChunks(request, MAX_BULK_BYTES, (chunk) => this.#chunk(chunk));
    if ("error" in body) return body;
    if (!this.#refusal) this.#end();
    if (this.#refusal) return { error: this.#refusal };
    await this.#flush();
    return { ok: this.#taken };
  }

  async #chunk(chunk: Uint8Array): Promise<void> {
    if (this.#refusal) return;
    try {
      for (const piece of this.#cutter.cut(chunk)) {
        this.#take(piece);
        if (this.#refusal) return;
        if (this.#partBytes >= PART_BYTES || this.#part.length >= PART_MESSAGES) await this.#flush();
      }
    } catch (error) {
      if (!(error instanceof CutError)) throw error;
      this.#refusal = error.why === "large" ? TOO_LARGE : NOT_PARSED;
    }
  }

  #end(): void {
    if (this.#cutter.isEmpty) this.#refusal = NO_OBJECT;
    else if (!this.#cutter.isAtEnd) this.#refusal = NOT_PARSED;
    else if (this.#cutter.lists > 1) this.#problems.wrongFields("", ["Messages"]);
    else if (this.#taken.total === 0 && this.#problems.count === 0)
      this.#problems.add("Messages", apiError(300, "Provide at least one message in 'Messages'."));
  }

  #take(piece: Piece): void {
    const value = parseJson(new TextDecoder().decode("key" in piece ? piece.bytes : piece.element));
    if ("error" in value) this.#refusal = value.error;
    else if ("element" in piece) this.#message(value.ok);
    else this.#member(piece.key, value.ok, piece.bytes.length);
  }

  #member(key: string, value: unknown, bytes: number): void {
    if (key.toLowerCase() === LIST) {
      // A list is cut, and comes as its elements: this is none.
      if (value !== undefined) this.#problems.wrongFields("", ["Messages"]);
      return;
    }
    this.#sharedBytes += bytes;
    if (this.#sharedBytes > MAX_SHARED_BYTES) this.#refusal = TOO_LARGE;
    else this.#taken.members[key] = value ?? null;
  }

  #message(value: unknown): void {
    const index = this.#taken.total++;
    if (this.#problems.isFull) return;
    const message = readOwn(value, `Messages[${index}]`, this.#problems);
    if (!message) return;
    this.#merges.note(index, message, this.#problems);
    if (this.#problems.count === 0) this.#keep(message);
  }

  #keep(message: BulkMessage): void {
    const text = JSON.stringify(message);
    this.#part.push(text);
    this.#partBytes += text.length;
  }

  async #flush(): Promise<void> {
    if (this.#part.length === 0 || this.#problems.count > 0) return;
    const bytes = new TextEncoder().encode(`[${this.#part.join(",")}]`);
    this.#part = [];
    this.#partBytes = 0;
    this.#taken.parts++;
    this.#taken.hashes.push(await sha256(bytes));
    try {
      await this.#port?.put(this.#id, this.#taken.parts, bytes);
    } catch (cause) {
      throw new Unavailable("The service cannot accept messages at the moment. Please try again.", { cause });
    }
  }
}

export async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
