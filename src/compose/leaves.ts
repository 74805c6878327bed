/**
 * Finds, in a message that its client made, the texts that people read: where each lies, and how it is encoded. Attachments, quoted
 * messages, and whatever is signed or encrypted are not among them. Pure; what is not understood is left out.
 */
import { headerEnd } from "./skeleton.ts";

/** Mail programs make two or three; each is decoded and encoded anew. */
const MAX_LEAVES = 20;
/** Of all parts, and of one within another: beyond, nothing of the message is looked at. */
const MAX_PARTS = 200;
const MAX_DEPTH = 8;
/** Of one part's header. */
const MAX_HEADER = 64_000;
const CR = 13;
const LF = 10;

export interface Leaf {
  type: "text/plain" | "text/html";
  /** Lower case; "us-ascii" when none is named (RFC 2045 §5.2). */
  charset: string;
  encoding: "identity" | "quoted-printable" | "base64";
  /** Of its body: from the first byte to behind the last. The line end that belongs to the delimiter is not in it. */
  from: number;
  to: number;
  /** The field that names the encoding, with its CRLF; an empty range before the empty line when there is none. */
  encodingField: { from: number; to: number };
}

export type Leaves = { leaves: Leaf[] } | { left: "signed" | "encrypted" | "too complex" };

/** `left` says why there is nothing to change in the whole message. */
export function leavesOf(message: Uint8Array): Leaves {
  const found: Found = { leaves: [], parts: 0, sealed: undefined, isTooComplex: false };
  walk(message, { from: 0, to: message.length }, 0, found);
  if (found.isTooComplex) return { left: "too complex" };
  if (found.leaves.length === 0 && found.sealed) return { left: found.sealed };
  return { leaves: found.leaves };
}

interface Found {
  leaves: Leaf[];
  parts: number;
  sealed: "signed" | "encrypted" | undefined;
  isTooComplex: boolean;
}

interface Range {
  from: number;
  to: number;
}

function walk(message: Uint8Array, part: Range, depth: number, found: Found): void {
  if (++found.parts > MAX_PARTS || depth > MAX_DEPTH) found.isTooComplex = true;
  const bodyFrom = headerEnd(message.subarray(0, part.to), part.from);
  if (bodyFrom - part.from > MAX_HEADER) found.isTooComplex = true;
  if (found.isTooComplex) return;
  const fields = fieldsOf(message, { from: part.from, to: bodyFrom });
  const type = readValue(fields.find((f) => f.name === "content-type")?.value ?? "");
  const kind = type.value || "text/plain";
  const body = { from: bodyFrom, to: part.to };
  if (kind === "multipart/signed" || kind === "multipart/encrypted") {
    found.sealed = kind === "multipart/signed" ? "signed" : "encrypted";
  } else if (/^application\/(x-)?pkcs7-(mime|signature)$/.test(kind)) {
    found.sealed = "encrypted";
  } else if (kind.startsWith("multipart/") && kind !== "multipart/report") {
    const boundary = type.parameters.get("boundary") ?? "";
    if (boundary === "") return;
    for (const inner of partsOf(message, body, boundary)) {
      walk(message, inner, depth + 1, found);
      if (found.isTooComplex) return;
    }
  } else if (kind === "text/plain" || kind === "text/html") {
    const leaf = body.from < body.to ? toLeaf(kind, fields, type.parameters, body) : undefined;
    if (leaf && isPgp(message, leaf)) found.sealed ??= "signed";
    else if (leaf && found.leaves.length < MAX_LEAVES) found.leaves.push(leaf);
    else if (leaf) found.isTooComplex = true;
  }
}

function toLeaf(
  type: Leaf["type"],
  fields: Field[],
  parameters: Map<string, string>,
  body: Range,
): Leaf | undefined {
  const disposition = readValue(fields.find((f) => f.name === "content-disposition")?.value ?? "");
  const isFile = disposition.parameters.has("filename") || parameters.has("name");
  if (disposition.value === "attachment" || isFile) return undefined;
  // RFC 3676 §4.1: its lines are joined without a space, so a link may go on behind a line's end.
  if (parameters.get("delsp")?.toLowerCase() === "yes") return undefined;
  const field = fields.find((f) => f.name === "content-transfer-encoding");
  const named = (field?.value ?? "").trim().toLowerCase() || "7bit";
  const encoding = /^(7bit|8bit|binary)$/.test(named) ? "identity" : named;
  if (encoding !== "identity" && encoding !== "quoted-printable" && encoding !== "base64") return undefined;
  const charset = (parameters.get("charset") ?? "us-ascii").trim().toLowerCase();
  // The empty line before the body is where a field is put that was not there.
  const encodingField = field ?? { from: body.from - 2, to: body.from - 2 };
  return {
    type,
    charset,
    encoding,
    ...body,
    encodingField: { from: encodingField.from, to: encodingField.to },
  };
}

/** RFC 4880 §7 and §6.2, within the first bytes: signed in the text itself. */
function isPgp(message: Uint8Array, { from, to }: Leaf): boolean {
  const MAX_LEAD = 1_000;
  return /^-----BEGIN PGP /m.test(latin1(message, { from, to: Math.min(to, from + MAX_LEAD) }));
}

interface Field extends Range {
  /** Lower case. */
  name: string;
  /** Unfolded. */
  value: string;
}

function fieldsOf(message: Uint8Array, header: Range): Field[] {
  const text = latin1(message, header);
  const fields: Field[] = [];
  const FIELD = /([!-9;-~]{1,100})[ \t]*:((?:[^\r\n]|\r\n[ \t])*)\r\n/y;
  for (let match = FIELD.exec(text); match; match = FIELD.exec(text)) {
    const from = header.from + match.index;
    const [whole, name = "", value = ""] = match;
    fields.push({
      name: name.toLowerCase(),
      value: value.replace(/\r\n/g, ""),
      from,
      to: from + whole.length,
    });
  }
  return fields;
}

/** "text/plain; charset=utf-8": the value in lower case, and its parameters, of each name the first (RFC 2045 §5.1). */
function readValue(text: string): { value: string; parameters: Map<string, string> } {
  const [, head = "", rest = ""] = /^\s*([^;]{0,200})(.*)$/s.exec(text) ?? [];
  const parameters = new Map<string, string>();
  const PARAMETER = /;\s*([^\s=;"]{1,60})\s*=\s*(?:"((?:[^"\\]|\\.){0,1000})"|([^;\s"]{0,1000}))/g;
  for (const [, name = "", quoted, bare = ""] of rest.matchAll(PARAMETER)) {
    // RFC 2231: "filename*0" is of filename.
    const key = name.toLowerCase().replace(/\*.*$/, "");
    if (!parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/g, "$1") ?? bare);
  }
  return { value: head.trim().toLowerCase(), parameters };
}

/** What lies between delimiter lines (RFC 2046 §5.1.1); what follows the last of them is not there when it is not closed. */
function* partsOf(message: Uint8Array, body: Range, boundary: string): Generator<Range> {
  const whole = Buffer.from(message.buffer, message.byteOffset, body.to);
  const mark = Buffer.from(`--${boundary}`, "latin1");
  let open = -1;
  for (let at = whole.indexOf(mark, body.from); at >= 0; at = whole.indexOf(mark, at + 1)) {
    const behind = at + mark.length;
    if (at !== body.from && whole[at - 1] !== LF) continue;
    const [line = ""] =
      /^[^\r\n]*/.exec(latin1(message, { from: behind, to: Math.min(behind + 80, body.to) })) ?? [];
    const isLast = line.trimEnd() === "--";
    if (line.trimEnd() !== "" && !isLast) continue;
    if (open >= 0) yield { from: open, to: Math.max(open, at - (whole[at - 2] === CR ? 2 : 1)) };
    if (isLast) return;
    open = Math.min(behind + line.length + 2, body.to);
  }
  if (open >= 0) yield { from: open, to: body.to };
}

/** A character for each byte. */
function latin1(message: Uint8Array, { from, to }: Range): string {
  return Buffer.from(message.buffer, message.byteOffset + from, Math.max(0, to - from)).toString("latin1");
}
