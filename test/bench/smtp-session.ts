/**
 * One SMTP session of the load generator: a socket, one command at a time (pipelining would hide what a reply costs), and no more work
 * than that takes. The same for every peer.
 */
import { connect, type Socket } from "node:net";
import { connect as secure } from "node:tls";

export interface Way {
  port: number;
  starttls: boolean;
  /** AUTH PLAIN's initial response; "" where the peer takes mail without. */
  auth: string;
}

/** A peer that is this silent is not measured any more, but stuck. */
const SILENCE_MS = 30_000;

export class Session {
  #socket: Socket;
  #heard = "";
  #done: ((reply: string) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #ended: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open({ port, starttls, auth }: Way): Promise<Session> {
    const session = new Session(connect({ port, host: "127.0.0.1", noDelay: true }));
    session.#listen();
    try {
      await session.#reply("220");
      await session.say("EHLO bench.example\r\n", "250");
      if (starttls) {
        await session.say("STARTTLS\r\n", "220");
        await session.#secure();
        await session.say("EHLO bench.example\r\n", "250");
      }
      if (auth !== "") await session.say(`AUTH PLAIN ${auth}\r\n`, "235");
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Sends one message; `data` ends with the final dot's line. Rejects when it is not taken. */
  async send(from: string, to: string, data: Buffer): Promise<void> {
    await this.say(`MAIL FROM:<${from}>\r\n`, "250");
    await this.say(`RCPT TO:<${to}>\r\n`, "250");
    await this.say("DATA\r\n", "354");
    await this.say(data, "250");
  }

  async quit(): Promise<void> {
    // What counts is done; a peer that closes early is not to be judged.
    await this.say("QUIT\r\n", "221").catch(() => undefined);
    this.close();
  }

  say(command: string | Buffer, code: string): Promise<void> {
    this.#socket.write(command);
    return this.#reply(code);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #reply(code: string): Promise<void> {
    if (this.#ended) throw this.#ended;
    const reply = await new Promise<string>((done, failed) => {
      this.#done = done;
      this.#failed = failed;
    });
    if (!reply.startsWith(code)) throw new Error(reply.trim());
  }

  #listen(): void {
    const socket = this.#socket;
    socket.setEncoding("latin1");
    socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`silent for ${SILENCE_MS} ms`)));
    socket.on("data", (text: string) => {
      this.#heard += text;
      // One command, one reply: it is whole when its last line is, and that has a space behind its code.
      if (!text.endsWith("\n")) return;
      const last = this.#heard.lastIndexOf("\n", this.#heard.length - 2) + 1;
      if (this.#heard[last + 3] !== " ") return;
      const reply = this.#heard;
      this.#heard = "";
      this.#done?.(reply);
    });
    const ended = (error?: Error) => {
      // The plain socket below a TLS one has handed over.
      if (this.#socket !== socket) return;
      this.#ended ??= error ?? new Error("the peer closed the connection");
      this.#failed?.(this.#ended);
    };
    socket.on("error", ended);
    socket.on("close", () => ended());
  }

  /** A whole handshake each time: no session is resumed. */
  #secure(): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners("data");
    plain.setTimeout(0);
    return new Promise((done, failed) => {
      // Certificates are checked by the tests; here each peer has its own.
      const socket = secure({ socket: plain, rejectUnauthorized: false }, () => done());
      socket.once("error", failed);
      this.#socket = socket;
      this.#listen();
    });
  }
}
