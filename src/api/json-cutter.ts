/**
 * Cuts a JSON object into its members as its bytes arrive, and one member, a list, into its elements, so that a body of 50 MB is
 * never in memory as a whole. What stands between the pieces is checked here; each piece is still to be parsed.
 */

/** A member of the object, or an element of its list. */
export type Piece = { key: string; bytes: Uint8Array } | { element: Uint8Array };

/** `wrong` is no JSON object; `large` has a piece that is larger than it may be. */
export class CutError extends Error {
  readonly why: "wrong" | "large";
  constructor(why: CutError["why"]) {
    super(why);
    this.why = why;
  }
}

type Expect =
  | "object"
  | "first key"
  | "key"
  | "colon"
  | "value"
  | "comma"
  | "first element"
  | "element"
  | "element comma"
  | "end";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** The mark that some editors put before UTF-8. */
const MARK = [0xef, 0xbb, 0xbf];

/** What a piece is while it is being read: its end is known by how it began. */
type Kind = "key" | "string" | "nested" | "scalar";

export class JsonCutter {
  readonly #isList: (key: string) => boolean;
  readonly #maxPiece: number;
  #expect: Expect = "object";
  #key = "";
  #kind: Kind | undefined;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** The begin of the present piece, from chunks before. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #position = 0;
  #lists = 0;

  constructor(options: { isList: (key: string) => boolean; maxPiece: number }) {
    this.#isList = options.isList;
    this.#maxPiece = options.maxPiece;
  }

  /** The pieces that end in this chunk. They are parts of it: use them before the next. Throws a CutError. */
  *cut(chunk: Uint8Array): Generator<Piece> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#kind === undefined) {
        if (this.#between(chunk[at] as number)) at++;
        continue;
      }
      const end = this.#endOfPiece(chunk, at);
      const bytes = this.#take(chunk.subarray(at, end ?? chunk.length), end !== undefined);
      if (end === undefined || !bytes) return;
      at = end;
      const piece = this.#finish(bytes);
      if (piece) yield piece;
    }
  }

  get isAtEnd(): boolean {
    return this.#expect === "end";
  }

  /** How often the list was there: a key may be repeated. */
  get lists(): number {
    return this.#lists;
  }

  /** Whether anything but white space came. */
  get isEmpty(): boolean {
    return this.#expect === "object";
  }

  /** Takes a byte between pieces; false when a piece begins with it. */
  #between(byte: number): boolean {
    this.#position++;
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return true;
    switch (this.#expect) {
      case "object":
        if (byte === MARK[this.#position - 1]) return true;
        return this.#on(byte, OPEN_OBJECT, "first key");
      case "first key":
        if (byte === CLOSE_OBJECT) return this.#on(byte, CLOSE_OBJECT, "end");
        return this.#begin(byte, "key");
      case "key":
        return this.#begin(byte, "key");
      case "colon":
        return this.#on(byte, COLON, "value");
      case "value":
        if (byte === OPEN_LIST && this.#isList(this.#key)) {
          this.#lists++;
          return this.#on(byte, OPEN_LIST, "first element");
        }
        return this.#begin(byte);
      case "comma":
        if (byte === CLOSE_OBJECT) return this.#on(byte, CLOSE_OBJECT, "end");
        return this.#on(byte, COMMA, "key");
      case "first element":
        if (byte === CLOSE_LIST) return this.#on(byte, CLOSE_LIST, "comma");
        return this.#begin(byte);
      case "element":
        return this.#begin(byte);
      case "element comma":
        if (byte === CLOSE_LIST) return this.#on(byte, CLOSE_LIST, "comma");
        return this.#on(byte, COMMA, "element");
      case "end":
        throw new CutError("wrong");
    }
  }

  #on(byte: number, expected: number, next: Expect): true {
    if (byte !== expected) throw new CutError("wrong");
    this.#expect = next;
    return true;
  }

  #begin(byte: number, only?: "key"): false {
    if (only === "key" && byte !== QUOTE) throw new CutError("wrong");
    if (byte === COMMA || byte === COLON || byte === CLOSE_LIST || byte === CLOSE_OBJECT)
      throw new CutError("wrong");
    if (byte === QUOTE) this.#kind = only ?? "string";
    else this.#kind = byte === OPEN_LIST || byte === OPEN_OBJECT ? "nested" : "scalar";
    this.#position--;
    return false;
  }

  /** Behind the last byte of the present piece; undefined when it goes on in the next chunk. */
  #endOfPiece(chunk: Uint8Array, from: number): number | undefined {
    if (this.#kind === "scalar") return endOfScalar(chunk, from);
    let i = from;
    while (i < chunk.length) {
      const byte = chunk[i++] as number;
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) {
          this.#isInString = false;
          if (this.#kind !== "nested") return i;
        }
      } else if (byte === QUOTE) this.#isInString = true;
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) this.#depth++;
      else if ((byte === CLOSE_LIST || byte === CLOSE_OBJECT) && --this.#depth === 0) return i;
    }
    return undefined;
  }

  /** The whole piece, once it is there. */
  #take(part: Uint8Array, isLast: boolean): Uint8Array | undefined {
    this.#keptBytes += part.length;
    if (this.#keptBytes > this.#maxPiece) throw new CutError("large");
    if (isLast && this.#kept.length === 0) {
      this.#keptBytes = 0;
      return part;
    }
    this.#kept.push(part.slice());
    if (!isLast) return undefined;
    const whole = new Uint8Array(this.#keptBytes);
    let at = 0;
    for (const kept of this.#kept) {
      whole.set(kept, at);
      at += kept.length;
    }
    this.#kept = [];
    this.#keptBytes = 0;
    return whole;
  }

  #finish(bytes: Uint8Array): Piece | undefined {
    const isKey = this.#kind === "key";
    this.#kind = undefined;
    if (isKey) {
      this.#key = keyOf(bytes);
      this.#expect = "colon";
      return undefined;
    }
    const isElement = this.#expect === "element" || this.#expect === "first element";
    this.#expect = isElement ? "element comma" : "comma";
    return isElement ? { element: bytes } : { key: this.#key, bytes };
  }
}

function endOfScalar(chunk: Uint8Array, from: number): number | undefined {
  for (let i = from; i < chunk.length; i++) {
    const byte = chunk[i] as number;
    if (byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT || byte <= 0x20) return i;
  }
  return undefined;
}

function keyOf(bytes: Uint8Array): string {
  try {
    return String(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // Control characters or escapes that are none.
    throw new CutError("wrong");
  }
}
