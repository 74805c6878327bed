/**
 * What the MX remembers from one session to the next: whom it has greylisted, which messages it has dropped or cut after the dot. Kept
 * as lines appended to a file, so that it outlives a SIGKILL; a line is in the kernel's hands when the call returns, which is
 * enough for a process that dies.
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Beyond it the oldest half is forgotten: an old sender is greylisted again, as real greylists do. */
const MAX_REMEMBERED = 100_000;

type Line = ["greylist" | "drop" | "after-dot", key: string, session: string];

export class Memory {
  readonly #file: string;
  readonly #lines: Line[] = [];
  /** The session that a sender and recipient were first seen in. */
  readonly #greylist = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  constructor(folder: string) {
    this.#file = join(folder, "memory.ndjson");
    for (const line of linesOf(this.#file)) this.#keep(line);
  }

  /** Whether this is to be put off: it is the first time, or still the session of the first time. */
  isGreylisted(from: string, to: string, session: string): boolean {
    const key = `${from.toLowerCase()} ${to.toLowerCase()}`;
    const first = this.#greylist.get(key);
    if (first !== undefined) return first === session;
    this.#add(["greylist", key, session]);
    return true;
  }

  /** True as often as `times` for one key, then false. */
  takes(what: "drop" | "after-dot", key: string, times: number): boolean {
    if ((this.#counts.get(`${what} ${key}`) ?? 0) >= times) return false;
    this.#add([what, key, ""]);
    return true;
  }

  #add(line: Line): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`);
    this.#keep(line);
    if (this.#lines.length > MAX_REMEMBERED) this.#forget();
  }

  #keep(line: Line): void {
    const [what, key, session] = line;
    this.#lines.push(line);
    if (what === "greylist") this.#greylist.set(key, session);
    else this.#counts.set(`${what} ${key}`, (this.#counts.get(`${what} ${key}`) ?? 0) + 1);
  }

  #forget(): void {
    const newest = this.#lines.slice(-MAX_REMEMBERED / 2);
    writeFileSync(`${this.#file}.new`, newest.map((line) => `${JSON.stringify(line)}\n`).join(""));
    renameSync(`${this.#file}.new`, this.#file);
    this.#lines.length = 0;
    this.#greylist.clear();
    this.#counts.clear();
    for (const line of newest) this.#keep(line);
  }
}

function linesOf(file: string): Line[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    // A new world: nothing to remember.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const lines: Line[] = [];
  for (const line of text.split("\n")) {
    try {
      if (line) lines.push(JSON.parse(line) as Line);
    } catch {
      // Torn by a full disk; what it said is forgotten.
    }
  }
  return lines;
}
