/**
 * One keep-alive HTTP/1.1 connection for the load generator: one request at a time, and no more work than it takes. Node's own client
 * costs several times as much, and generator and server share the cores.
 */
import { connect, type Socket } from "node:net";

const END_OF_HEAD = "\r\n\r\n";
const LAST_CHUNK = "\r\n0\r\n\r\n";

export class Connection {
  readonly #url: URL;
  readonly #head: string;
  readonly #token: string;
  #socket: Socket | undefined;
  #received: string[] = [];
  #missing = 0;
  #isChunked = false;
  #done: ((answer: string) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  constructor(url: string, token: string) {
    this.#url = new URL(url);
    this.#token = token;
    this.#head = [
      `POST ${this.#url.pathname} HTTP/1.1`,
      `Host: ${this.#url.host}`,
      "Content-Type: application/json",
      "Accept: application/json",
      `X-Postmark-Server-Token: ${token}`,
      "Content-Length: ",
    ].join("\r\n");
  }

  /** The answer's body; rejects when the connection ends first. */
  post(body: string): Promise<string> {
    return new Promise((done, failed) => {
      this.#done = done;
      this.#failed = failed;
      this.#socket ??= this.#open();
      this.#socket.write(`${this.#head}${Buffer.byteLength(body)}${END_OF_HEAD}${body}`);
    });
  }

  /** A path with its query. */
  get(path: string): Promise<string> {
    return new Promise((done, failed) => {
      this.#done = done;
      this.#failed = failed;
      this.#socket ??= this.#open();
      const host = `Host: ${this.#url.host}\r\nAccept: application/json`;
      this.#socket.write(
        `GET ${path} HTTP/1.1\r\n${host}\r\nX-Postmark-Server-Token: ${this.#token}${END_OF_HEAD}`,
      );
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ host: this.#url.hostname, port: Number(this.#url.port), noDelay: true });
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => this.#receive(text));
    const ended = (error?: Error) => {
      // An error is followed by a close, by when another socket may be open.
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#received = [];
      this.#failed?.(error ?? new Error("the server closed the connection"));
    };
    socket.on("error", ended);
    socket.on("close", () => ended());
    return socket;
  }

  #receive(text: string): void {
    if (this.#received.length === 0) {
      // workerd writes a head in one piece.
      const end = text.indexOf(END_OF_HEAD);
      const head = text.slice(0, end);
      const length = /content-length: *(\d+)/i.exec(head)?.[1];
      this.#isChunked = length === undefined;
      this.#missing = Number(length ?? 0) + end + END_OF_HEAD.length;
    }
    this.#received.push(text);
    this.#missing -= text.length;
    if (this.#isChunked ? !this.#endsChunked() : this.#missing > 0) return;
    const whole = this.#received.join("");
    const body = whole.slice(whole.indexOf(END_OF_HEAD) + END_OF_HEAD.length);
    this.#received = [];
    this.#done?.(this.#isChunked ? joinChunks(body) : body);
  }

  #endsChunked(): boolean {
    const last = this.#received.slice(-2).join("");
    return last.endsWith(LAST_CHUNK);
  }
}

function joinChunks(body: string): string {
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf("\r\n", at);
    const length = Number.parseInt(body.slice(at, end), 16);
    if (end < 0 || !(length > 0)) return parts.join("");
    parts.push(body.slice(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
