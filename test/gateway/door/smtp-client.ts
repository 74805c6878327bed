/** A client that says exactly the bytes it is told to, in the packets it is told to, and reads whole replies. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { TOKEN } from "./fake-worker.ts";

/** Nothing here waits so long, unless something is wrong. */
const PATIENCE_MS = 20_000;

export class SmtpClient {
  socket: Socket;
  isClosed = false;
  #text = "";
  #changed: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#listen(socket);
  }

  static async open(
    port: number,
    options: { localAddress?: string; host?: string } = {},
  ): Promise<SmtpClient> {
    const socket = connect({ port, host: "127.0.0.1", ...options });
    const client = new SmtpClient(socket);
    socket.setNoDelay(true);
    await once(socket, "connect");
    return client;
  }

  static async openTls(port: number): Promise<SmtpClient> {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
    const client = new SmtpClient(socket);
    socket.setNoDelay(true);
    await once(socket, "secureConnect");
    return client;
  }

  /** With its greeting and EHLO. */
  static async greeted(port: number, isTls = false): Promise<SmtpClient> {
    const client = isTls ? await SmtpClient.openTls(port) : await SmtpClient.open(port);
    await client.reply();
    await client.ask("EHLO client.test");
    return client;
  }

  /** Over STARTTLS, and logged in. */
  static async loggedIn(port: number): Promise<SmtpClient> {
    const client = await SmtpClient.greeted(port);
    await client.startTls();
    await client.ask("EHLO client.test");
    const answer = await client.ask(authPlain());
    if (!answer.startsWith("235")) throw new Error(answer);
    return client;
  }

  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** One command, its reply with the lines joined by "|". */
  async ask(line: string): Promise<string> {
    this.socket.write(`${line}\r\n`);
    return this.reply();
  }

  async startTls(): Promise<void> {
    const answer = await this.ask("STARTTLS");
    if (!answer.startsWith("220")) throw new Error(answer);
    await this.secure();
  }

  /** The handshake alone. */
  async secure(): Promise<void> {
    this.socket.removeAllListeners("data").removeAllListeners("close");
    const socket = connectTls({ socket: this.socket, rejectUnauthorized: false });
    this.socket = socket;
    this.#listen(socket);
    await once(socket, "secureConnect");
  }

  /** The next reply; "closed" when there is none and will be none. */
  async reply(): Promise<string> {
    const whole = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/;
    await this.#until(() => whole.test(this.#text) || this.isClosed);
    const found = whole.exec(this.#text)?.[0];
    if (found === undefined) return "closed";
    this.#text = this.#text.slice(found.length);
    return found.slice(0, -2).replaceAll("\r\n", "|");
  }

  /** All replies up to the end of the connection. */
  async rest(): Promise<string[]> {
    const replies: string[] = [];
    for (let answer = await this.reply(); answer !== "closed"; answer = await this.reply())
      replies.push(answer);
    return replies;
  }

  async send(message: string, to = ["rcpt@elsewhere.test"], from = "sender@example.com"): Promise<string> {
    await this.ask(`MAIL FROM:<${from}>`);
    for (const address of to) await this.ask(`RCPT TO:<${address}>`);
    const answer = await this.ask("DATA");
    if (!answer.startsWith("354")) return answer;
    this.write(`${message}\r\n.\r\n`);
    return this.reply();
  }

  close(): void {
    this.socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#changed();
    });
    socket.on("error", () => undefined); // its end is what matters
    const ended = () => {
      this.isClosed = true;
      this.#changed();
    };
    socket.on("close", ended).on("end", ended);
  }

  async #until(isTrue: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!isTrue()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no reply; so far: ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

export function authPlain(user = TOKEN, password = user): string {
  return `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString("base64")}`;
}
