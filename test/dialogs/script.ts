/**
 * Reads a dialog: a text file that says what a client sends, what the gateway must answer and what the Worker must get. README.md
 * describes the format. What can be wrong with a script is found here, with its line, and not in the middle of a session.
 */

export const PORTS = ["mx", "mx+starttls", "submission", "submission+starttls", "tls"] as const;
export type Port = (typeof PORTS)[number];

const VERBS = [
  ..."C S ehlo starttls handshake auth quit raw raw-split raw-until-close drip pause reconnect expect-close".split(
    " ",
  ),
  ..."worker restart accepted from to with server stream inbound body body-sha256 |".split(" "),
];
const QUOTED = new Set(["raw", "raw-split", "raw-until-close", "drip", "body"]);

export interface Step {
  line: number;
  verb: string;
  /** `C*1000:` does it a thousand times; `{n}` is which. */
  times: number;
  /** Bytes, one a character. */
  text: string;
  /** Of a reply: its further lines. */
  more: string[];
}

export interface Script {
  name: string;
  /** The sentence it opens with. */
  about: string;
  ports: Port[];
  gateway: string;
  /** The script itself reads what comes first. */
  readsGreeting: boolean;
  /** Values that `{name}` stands for: a session for each. */
  each: { name: string; values: string[] } | undefined;
  steps: Step[];
}

const LINE = /^(?<verb>[A-Z](?=[*:])|[a-z][a-z0-9-]*|\|)(?:\*(?<times>\d+))?:?(?: (?<text>.*))?$/u;

export function parseScript(name: string, source: string): Script {
  const lines = source.split("\n");
  const about = aboutOf(lines);
  const script: Script = {
    name,
    about,
    ports: [],
    gateway: "usual",
    readsGreeting: false,
    each: undefined,
    steps: [],
  };
  if (!/RFC \d|CVE-\d/.test(about))
    throw new Error(`${name}: opens with a sentence that names an RFC or a CVE`);
  for (const [index, text] of lines.entries()) {
    if (text.trim() === "" || text.startsWith("#")) continue;
    try {
      readLine(script, text, index + 1);
    } catch (error) {
      throw new Error(`${name}:${index + 1}: ${(error as Error).message}`);
    }
  }
  if (script.ports.length === 0) throw new Error(`${name}: no port`);
  if (continues(script.steps.at(-1))) throw new Error(`${name}: a reply without its last line`);
  return script;
}

/** The comment at the top, as one line. */
function aboutOf(lines: string[]): string {
  const end = lines.findIndex((line) => !line.startsWith("#"));
  return lines
    .slice(0, end === -1 ? lines.length : end)
    .map((line) => line.replace(/^#\s*/, ""))
    .join(" ");
}

function readLine(script: Script, line: string, number: number): void {
  const { verb = "", times, text = "" } = LINE.exec(line)?.groups ?? {};
  switch (verb) {
    case "port":
      script.ports = text.split(/,\s*/).map(portOf);
      return;
    case "gateway":
      script.gateway = text;
      return;
    case "no-greeting":
      script.readsGreeting = true;
      return;
    case "each": {
      const [, name = "", values = ""] = /^(\w+) (.*)$/.exec(text) ?? [];
      script.each = { name, values: unquoteAll(values) };
      return;
    }
  }
  if (!VERBS.includes(verb)) throw new Error(`what is "${line}"?`);
  if (verb === "S" && continues(script.steps.at(-1))) {
    script.steps.at(-1)?.more.push(text);
    return;
  }
  // "drip 50ms" has a time before its bytes.
  const [, wait = "", quoted = text] = verb === "drip" ? (/^(\d+ms) (.*)$/.exec(text) ?? []) : [];
  const bytes = QUOTED.has(verb) ? unquoteAll(quoted).join("") : latin1(text);
  script.steps.push({ line: number, verb, times: Number(times ?? 1), text: wait + bytes, more: [] });
}

function portOf(text: string): Port {
  const port = PORTS.find((p) => p === text);
  if (!port) throw new Error(`no port "${text}"`);
  return port;
}

/** Whether the lines of the reply so far are not all of it. */
function continues(step: Step | undefined): boolean {
  return step?.verb === "S" && /^.{3}-/.test(step.more.at(-1) ?? step.text);
}

function latin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

const ESCAPES: Record<string, string> = { r: "\r", n: "\n", t: "\t", "0": "\0", '"': '"', "\\": "\\" };

/** Strings in double quotes, with \r \n \t \0 \" \\ and \xHH for a byte. */
function unquoteAll(text: string): string[] {
  const strings = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/gu)];
  if (text.replace(/"(?:[^"\\]|\\.)*"/gu, "").trim() !== "" || strings.length === 0)
    throw new Error(`not in double quotes: ${text}`);
  return strings.map(([, inner = ""]) =>
    latin1(inner).replace(/\\(?:x([0-9a-f]{2})|(.))/gi, (whole, hex?: string, one?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      const known = one === undefined ? undefined : ESCAPES[one];
      if (known === undefined) throw new Error(`unknown escape ${whole}`);
      return known;
    }),
  );
}

/** What `{…}` stands for: `{n}`, the value of `each`, `{x*1000}`, and what `named` knows. */
export function fill(text: string, named: Record<string, string>): string {
  return text.replace(/\{([^{}]+)\}/g, (whole, inner: string) => {
    const value = named[inner];
    if (value !== undefined) return value;
    const [, repeated, count] = /^([\s\S]+)\*(\d+)$/.exec(inner) ?? [];
    if (repeated === undefined) throw new Error(`nothing is named ${whole}`);
    return repeated.repeat(Number(count));
  });
}
