/**
 * A mail server that does what a test tells it, well or badly: every reply may be replaced by another text, by silence, by a
 * closed or a reset connection. It keeps what it was told and, byte for byte, what it accepted.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** A reply's text without its last line end; or what to do instead. */
export type Act = string | "close" | "reset" | "silent" | ((session: Session) => void);

export interface Session {
  /** Counted from 1. */
  number: number;
  socket: Socket;
  isSecure: boolean;
  /** Messages accepted in this session. */
  count: number;
}

export interface Script {
  /** Lines of the reply to EHLO after the first, without their code. */
  extensions?: string[];
  tls?: { key: string; cert: string; minVersion?: "TLSv1.2"; maxVersion?: "TLSv1.1" };
  /** "(connect)", a command's line, "(data)" when the first bytes of a message come, "(message)" after its dot. */
  on?(what: string, session: Session): Act | undefined;
}

export interface Taken {
  from: string;
  to: string[];
  /** As it came, without the dots that were stuffed and without the final one. */
  data: Buffer;
  session: number;
  isSecure: boolean;
}

/** A message that is being received. */
interface Within {
  from: string;
  to: string[];
  chunks: Buffer[];
  state: "new" | "reading" | "ignored";
}

const DEFAULTS: Record<string, string> = {
  "(connect)": "220 mx.test ESMTP",
  HELO: "250 mx.test",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  "(message)": "250 2.0.0 taken",
  RSET: "250 2.0.0 ok",
  QUIT: "221 2.0.0 bye",
  STARTTLS: "220 2.0.0 go on",
};

export class ScriptedMx {
  readonly taken: Taken[] = [];
  /** Every command line, and "(message)". */
  readonly said: string[] = [];
  /** The chunks as they came, commands only, to see what was pipelined. */
  readonly chunks: string[] = [];
  sessions = 0;
  open = 0;
  mostOpen = 0;
  script: Script;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(script: Script = {}) {
    this.script = script;
    this.#server = createServer((socket) => this.#welcome(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(port = 0, address = "127.0.0.1"): Promise<this> {
    this.#server.listen(port, address);
    await once(this.#server, "listening");
    return this;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((done) => this.#server.close(done));
  }

  #welcome(socket: Socket): void {
    this.#sockets.add(socket);
    this.open++;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    socket.on("close", () => {
      this.open--;
      this.#sockets.delete(socket);
    });
    const session: Session = { number: ++this.sessions, socket, isSecure: false, count: 0 };
    this.#listen(session);
    this.#answer("(connect)", session);
  }

  #listen(session: Session): void {
    let pending: Buffer = Buffer.alloc(0);
    let within: Within | undefined;
    let from = "";
    let to: string[] = [];
    session.socket.on("error", () => {});
    session.socket.on("data", (chunk: Buffer) => {
      if (within) within.chunks.push(chunk);
      else {
        this.chunks.push(chunk.toString("latin1"));
        pending = Buffer.concat([pending, chunk]);
      }
      for (;;) {
        if (within) {
          const rest = this.#readMessage(within, session);
          if (!rest) return;
          within = undefined;
          pending = rest;
        }
        const end = pending.indexOf("\r\n");
        if (end < 0) return;
        const line = pending.toString("utf8", 0, end);
        pending = pending.subarray(end + 2);
        this.said.push(line);
        if (/^STARTTLS$/i.test(line)) {
          if (this.#startTls(session)) return;
          continue;
        }
        if (/^MAIL FROM:/i.test(line)) {
          from = /<(.*?)>/.exec(line)?.[1] ?? "";
          to = [];
        }
        const reply = this.#answer(line, session);
        if (/^RCPT TO:/i.test(line) && reply.startsWith("2")) to.push(/<(.*?)>/.exec(line)?.[1] ?? "");
        if (/^DATA$/i.test(line) && reply.startsWith("354"))
          within = { from, to, chunks: pending.length > 0 ? [pending] : [], state: "new" };
      }
    });
  }

  /** What comes behind the message when it is whole. */
  #readMessage(within: Within, session: Session): Buffer | undefined {
    const { chunks, from, to } = within;
    if (chunks.length === 0 || within.state === "ignored") return undefined;
    if (within.state === "new") {
      within.state = this.#instead("(data)", session) ? "ignored" : "reading";
      if (within.state === "ignored") return undefined;
    }
    // The end may lie across chunks; it is looked for from a little before the newest.
    const before = chunks.length > 2 ? Buffer.concat(chunks.slice(0, -1).slice(-4)).subarray(-4) : undefined;
    const newest = before ? Buffer.concat([before, chunks.at(-1) as Buffer]) : Buffer.concat(chunks);
    if (endOfData(newest) < 0) return undefined;
    const whole = Buffer.concat(chunks);
    const end = endOfData(whole);
    if (end < 0) return undefined;
    this.said.push("(message)");
    const act = this.script.on?.("(message)", session) ?? DEFAULTS["(message)"] ?? "";
    if (typeof act === "string" && act.startsWith("2")) {
      session.count++;
      const data = unstuffed(whole.subarray(0, end));
      this.taken.push({ from, to, data, session: session.number, isSecure: session.isSecure });
    }
    perform(act, session);
    return whole.subarray(end + 3);
  }

  #answer(what: string, session: Session): string {
    const act = this.script.on?.(what, session) ?? this.#usual(what, session);
    perform(act, session);
    return typeof act === "string" ? act : "";
  }

  #instead(what: string, session: Session): boolean {
    const act = this.script.on?.(what, session);
    if (act !== undefined) perform(act, session);
    return act !== undefined;
  }

  #usual(what: string, session: Session): string {
    const verb = what.split(/[ :]/)[0]?.toUpperCase() ?? "";
    if (verb !== "EHLO") return DEFAULTS[what] ?? DEFAULTS[verb] ?? "500 5.5.1 what?";
    const lines = [
      "mx.test",
      ...(this.script.extensions ?? ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 30000000"]),
    ];
    if (this.script.tls && !session.isSecure) lines.push("STARTTLS");
    return lines.map((line, i) => `250${i === lines.length - 1 ? " " : "-"}${line}`).join("\r\n");
  }

  /** Whether this connection turns to TLS. */
  #startTls(session: Session): boolean {
    const { tls } = this.script;
    const reply = this.#answer("STARTTLS", session);
    if (!tls || !reply.startsWith("220")) return false;
    session.socket.removeAllListeners("data");
    const { minVersion, maxVersion, key, cert } = tls;
    const ciphers = maxVersion ? "DEFAULT@SECLEVEL=0" : undefined;
    const secure = new TLSSocket(session.socket, {
      isServer: true,
      key,
      cert,
      ciphers,
      minVersion: maxVersion ? "TLSv1" : minVersion,
      maxVersion,
    });
    session.socket = secure;
    session.isSecure = true;
    this.#listen(session);
    return true;
  }
}

function perform(act: Act, session: Session): void {
  const { socket } = session;
  if (typeof act === "function") act(session);
  else if (act === "close") socket.destroy();
  else if (act === "reset") socket.resetAndDestroy();
  else if (act !== "silent") socket.write(`${act}\r\n`);
}

/** Where the final dot is: after a line end, or at the start. */
function endOfData(bytes: Buffer): number {
  if (bytes.subarray(0, 3).toString("latin1") === ".\r\n") return 0;
  const at = bytes.indexOf("\r\n.\r\n");
  return at < 0 ? -1 : at + 2;
}

function unstuffed(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString("latin1").replace(/^\.\./, ".").replaceAll("\r\n..", "\r\n."), "latin1");
}
