/**
 * A client's end of one connection, that hides nothing: bytes as they are given, replies as they come. What every reply must be,
 * whatever it says, is checked for each: RFC 5321 §4.2, RFC 2034 §4.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** A tarpit may take ten seconds, and the machine may be busy. */
const REPLY_MS = 25_000;
/** RFC 5321 §4.5.3.1.5, with its CRLF. */
const MAX_REPLY_LINE = 512;
/** As far as a client that sends without end goes; the gateway must have closed long before. */
const MAX_ENDLESS = 64 * 1024 * 1024;

export interface Target {
  port: number;
  /** Who the client is: each session has a network of its own, so that none is slowed by what another did. */
  client: string;
  /** Where it connects from: the client, or a load balancer. */
  localAddress: string;
  ca: string;
  name: string;
}

export class Wire {
  /** Everything said by both, for whoever must read a failure. */
  transcript = "";
  isClosed = false;
  readonly #target: Target;
  #socket: Socket;
  #received = "";
  #wake = () => {};

  private constructor(target: Target, socket: Socket) {
    this.#target = target;
    this.#socket = socket;
    this.#listen();
  }

  static async open(target: Target, isTls: boolean): Promise<Wire> {
    const { port, localAddress } = target;
    const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.removeAllListeners("error");
    const wire = new Wire(target, socket);
    if (isTls) await wire.secure();
    return wire;
  }

  /** The handshake. What was received before it and not read stays, as a client with CVE-2011-0411 would have it. */
  async secure(): Promise<void> {
    this.#transcribe("-- TLS --\n");
    const plain = this.#socket;
    for (const event of ["data", "end", "close", "error"]) plain.removeAllListeners(event);
    const { ca, name } = this.#target;
    const socket = connectTls({ socket: plain, ca, servername: name });
    await new Promise((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed in the TLS handshake")));
      plain.once("error", reject);
      setTimeout(() => reject(new Error("no TLS handshake")), REPLY_MS).unref();
    });
    socket.removeAllListeners("error").removeAllListeners("close");
    this.#socket = socket;
    this.#listen();
  }

  /** Resolves when the bytes are handed on, or will never be. */
  async send(bytes: string): Promise<void> {
    this.#transcribe(`C: ${shown(bytes)}\n`);
    await this.#write(Buffer.from(bytes, "latin1"));
  }

  async sendByteByByte(bytes: string): Promise<void> {
    this.#transcribe(`C: (byte by byte) ${shown(bytes)}\n`);
    for (const byte of Buffer.from(bytes, "latin1")) {
      await this.#write(Buffer.of(byte));
      // The next one is a packet of its own: the kernel has had this one.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async sendUntilClosed(bytes: string): Promise<void> {
    this.#transcribe(`C: (without end) ${shown(bytes)}\n`);
    const chunk = Buffer.from(bytes, "latin1");
    for (let sent = 0; sent < MAX_ENDLESS && !this.isClosed; sent += chunk.length) await this.#write(chunk);
  }

  /** A byte each `ms`, until there is an answer, the connection is closed, or all is said. */
  async drip(bytes: string, ms: number): Promise<void> {
    this.#transcribe(`C: (a byte each ${ms} ms) ${shown(bytes)}\n`);
    for (const byte of Buffer.from(bytes, "latin1")) {
      if (this.isClosed || this.#received !== "") return;
      await this.#write(Buffer.of(byte));
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  /** The lines of the next reply. */
  async reply(): Promise<string[]> {
    const lines: string[] = [];
    do {
      const line = await this.#line();
      checkLine(line, lines[0]);
      lines.push(line);
    } while (lines.at(-1)?.[3] === "-");
    checkEnhanced(lines, this.#target.name);
    return lines;
  }

  /** Throws what was said instead. */
  async closed(): Promise<void> {
    await this.#until(() => this.isClosed || this.#received !== "", "the connection was not closed");
    if (this.#received !== "") throw new Error(`not closed, but: ${shown(this.#received)}`);
  }

  /** Goes away without a word, and gives what was said that nobody read. */
  async leave(): Promise<string> {
    this.#socket.end();
    await this.#until(() => this.isClosed, "").catch(() => {
      // It is not asked to close because we did; it only must have nothing more to say.
    });
    this.#socket.destroy();
    return this.#received;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
      this.#wake();
    });
    const close = () => {
      this.isClosed = true;
      this.#wake();
    };
    socket.on("end", close);
    socket.on("close", close);
    // A reset is one way to close.
    socket.on("error", close);
  }

  #write(bytes: Buffer): Promise<void> {
    if (this.isClosed || !this.#socket.writable) return Promise.resolve();
    return new Promise((resolve) => {
      const socket = this.#socket;
      const done = () => {
        socket.removeListener("close", done);
        resolve();
      };
      socket.once("close", done);
      socket.write(bytes, done);
    });
  }

  async #line(): Promise<string> {
    await this.#until(() => this.isClosed || this.#received.includes("\n"), "no reply");
    const end = this.#received.indexOf("\n");
    if (end === -1)
      throw new Error(`closed instead of a reply${this.#received && ` after ${shown(this.#received)}`}`);
    const line = this.#received.slice(0, end + 1);
    this.#received = this.#received.slice(end + 1);
    this.#transcribe(`S: ${shown(line)}\n`);
    return line;
  }

  async #until(isTrue: () => boolean, otherwise: string): Promise<void> {
    const deadline = setTimeout(() => this.#wake(), REPLY_MS);
    const endsAt = performance.now() + REPLY_MS;
    try {
      while (!isTrue()) {
        if (performance.now() >= endsAt) throw new Error(otherwise);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  #transcribe(text: string): void {
    this.transcript += text;
  }
}

function checkLine(line: string, first: string | undefined): void {
  if (line.length > MAX_REPLY_LINE) throw new Error(`a reply line of ${line.length} octets`);
  if (!/^[2-5]\d\d[ -][\t\x20-\x7e]*\r\n$/.test(line)) throw new Error(`not a reply: ${shown(line)}`);
  if (first && first.slice(0, 3) !== line.slice(0, 3))
    throw new Error(`another code in one reply: ${shown(line)}`);
}

/** Every reply but a greeting, HELO's and EHLO's (which begin with our name), 354 and 334 has an enhanced code of its class. */
function checkEnhanced(lines: string[], name: string): void {
  const [first = ""] = lines;
  if (first[0] === "3" || first.slice(4).startsWith(name)) return;
  const [, enhanced] = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3}) /.exec(first) ?? [];
  if (enhanced?.[0] !== first[0]) throw new Error(`no enhanced code that fits: ${shown(first)}`);
  if (!lines.every((line) => line.slice(4).startsWith(`${enhanced} `)))
    throw new Error(`not the same enhanced code on each line: ${shown(lines.join(""))}`);
}

/** Bytes for people, and not too many; without the CRLF at the end, which every line has. */
export function shown(bytes: string): string {
  return visible(bytes.replace(/\r\n$/, ""));
}

export function visible(bytes: string): string {
  const some = bytes.length > 600 ? `${bytes.slice(0, 400)}… (${bytes.length})` : bytes;
  return some
    .replace(/[^\x20-\x7e…]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`)
    .replaceAll("\\x0d", "\\r")
    .replaceAll("\\x0a", "\\n");
}
