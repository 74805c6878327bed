/** The local world as a process of its own on free ports, and a raw SMTP session, for the tests of what it does. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { createTransport, type Transporter } from "nodemailer";

export const MAIN = resolve(import.meta.dirname, "../../../src/local/world/main.ts");
export const ANY_PORTS = { EDGEPOST_MX_PORT: "0", EDGEPOST_WORLD_PORT: "0", EDGEPOST_DNS_PORT: "0" };

export interface InboxMessage {
  id: string;
  receivedAt: number;
  repliedAt: number | null;
  envelope: { from: string; to: string[] };
  tls: boolean;
  helo: string;
  raw: string;
}

export interface Sending {
  to: string | string[];
  from?: string;
  id?: string;
  subject?: string;
  headers?: string[];
  text?: string;
  host?: string;
  tls?: object;
}

export class World {
  readonly home: string;
  readonly #env: Record<string, string>;
  #process: ChildProcess | undefined;
  mxPort = 0;
  dnsPort = 0;
  http = "";

  private constructor(home: string, env: Record<string, string>) {
    this.home = home;
    this.#env = env;
  }

  static async start(env: Record<string, string> = {}): Promise<World> {
    const world = new World(mkdtempSync(join(tmpdir(), "edgepost-world-")), env);
    await world.startAgain();
    return world;
  }

  async startAgain(): Promise<void> {
    const child = fork(MAIN, {
      env: { ...process.env, EDGEPOST_FRONT_DOOR: "", ...ANY_PORTS, ...this.#env, EDGEPOST_HOME: this.home },
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    this.#process = child;
    const [ready] = (await once(child, "message")) as [{ mxPort: number; http: string; dnsPort: number }];
    this.mxPort = ready.mxPort;
    this.dnsPort = ready.dnsPort;
    this.http = ready.http;
  }

  /** Resolves with its exit code; null when a signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process as ChildProcess;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    child.kill(signal);
    const [code] = (await once(child, "exit")) as [number | null];
    return code;
  }

  async remove(): Promise<void> {
    await this.end("SIGKILL");
    rmSync(this.home, { recursive: true, force: true });
  }

  transport(sending: Pick<Sending, "host" | "tls"> = {}): Transporter {
    const { host = "127.0.0.1", tls = { rejectUnauthorized: false } } = sending;
    return createTransport({ host, port: this.mxPort, tls, name: "client.test" } as object);
  }

  /** One message in a session of its own. Rejects as nodemailer does when it is refused. */
  async send(sending: Sending): Promise<string> {
    const transport = this.transport(sending);
    try {
      const { from = "sender@example.com", to } = sending;
      const { response } = await transport.sendMail({ envelope: { from, to }, raw: messageOf(sending) });
      return response as string;
    } finally {
      transport.close();
    }
  }

  async inbox(query: Record<string, string> = {}): Promise<InboxMessage[]> {
    const response = await fetch(`${this.http}/inbox?${new URLSearchParams(query)}`);
    return ((await response.json()) as { messages: InboxMessage[] }).messages;
  }

  async witness(): Promise<
    { messageId: string; to: string[]; receivedAt: number; repliedAt: number | null }[]
  > {
    const text = await (await fetch(`${this.http}/inbox/witness`)).text();
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
}

export function messageOf({ to, from = "sender@example.com", ...rest }: Sending): string {
  const { id = crypto.randomUUID(), subject = "Hello", headers = [], text = "Some text.\r\n" } = rest;
  const fields = [`From: Sender <${from}>`, `To: ${[to].flat().join(", ")}`, `Subject: ${subject}`];
  return [...fields, `Message-ID: <${id}@test>`, ...headers, "", text].join("\r\n");
}

/** How nodemailer says that it was refused. */
export interface Refusal {
  responseCode?: number;
  response?: string;
  code?: string;
}

export async function refusalOf(sent: Promise<unknown>): Promise<Refusal> {
  try {
    await sent;
  } catch (error) {
    return error as Refusal;
  }
  throw new Error("It was accepted.");
}

/** A session spoken command by command. */
export class Dialog {
  readonly socket: Socket;
  readonly #lines: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  static async open(port: number, host = "127.0.0.1"): Promise<Dialog> {
    const dialog = new Dialog(connect(port, host));
    await dialog.reply();
    await dialog.say("EHLO dialog.test");
    return dialog;
  }

  /** The last line of the reply, "" when the connection closed instead. */
  async reply(): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) return "";
      if (value[3] !== "-") return value;
    }
  }

  say(line: string): Promise<string> {
    this.socket.write(`${line}\r\n`);
    return this.reply();
  }

  /** The reply that ends the transaction, whether or not it was the message's. */
  async message(to: string): Promise<string> {
    await this.say("MAIL FROM:<sender@example.com>");
    const reply = await this.say(`RCPT TO:<${to}>`);
    if (!reply.startsWith("250")) return reply;
    await this.say("DATA");
    return this.say(`${messageOf({ to })}\r\n.`);
  }
}

/** Polls; the time is only there so that a test ends. */
export async function until<T>(what: string, find: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (const end = Date.now() + 30_000; ; ) {
    const found = await find();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
