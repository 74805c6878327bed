/**
 * The client's side of an SMTP session with an MX host. Not nodemailer's smtp-connection, because that one rewrites line ends
 * and so changes signed bytes, sends each command only after the reply to the one before (no PIPELINING), gives one reply
 * text per message rather than a reply per recipient with its time, and does not say whether a connection was lost before or
 * after the final dot. All four are what an outcome is made of.
 */
import type { SecureContext } from "node:tls";
import type { NextHop } from "../../mail/outcome.ts";
import type { Exchange, Reply } from "../../mail/reply.ts";
import type { Stage } from "../../smtp/meaning.ts";
import { noReply } from "../../smtp/reply-text.ts";
import { exchange } from "../../smtp/transcript.ts";
import type { Timeouts } from "../config.ts";
import { Channel, ChannelEnded, type Target } from "./channel.ts";
import { type Extensions, NO_EXTENSIONS, readExtensions } from "./extensions.ts";
import { type Dot, transact } from "./transaction.ts";
import type { Wire } from "./wire.ts";

/** `never` is for the second try at a host whose TLS failed; `verified` is for MTA-STS and whoever requires it. */
export type TlsWish = "opportunistic" | "verified" | "never";

export interface SessionOptions extends Target {
  host: string;
  /** Our name, for EHLO. */
  name: string;
  tls: TlsWish;
  context: SecureContext;
  timeouts: Timeouts;
  /** Milliseconds since the epoch: by then the final dot has been sent, or it is over. */
  deadline: number;
  log: Exchange[];
}

/** A session that did not come to the point where mail is offered. */
export class SessionFailed extends Error {
  readonly stage: Stage;
  readonly reply: Reply;
  readonly hop: NextHop;

  constructor(stage: Stage, reply: Reply, reason: string, hop: NextHop) {
    super(reason);
    this.stage = stage;
    this.reply = reply;
    this.hop = hop;
  }
}

/** How a transaction ended for one recipient. */
export interface Ending {
  recipient: string;
  stage: Stage;
  reply: Reply;
  /** "" when the reply says it all. */
  reason: string;
  /** The final dot was sent, and nothing came back. */
  uncertain: boolean;
}

export interface Envelope {
  reversePath: string;
  recipients: string[];
}

export class SmtpClient {
  readonly channel: Channel;
  readonly host: string;
  readonly address: string;
  extensions: Extensions = NO_EXTENSIONS;
  /** TLS with a certificate that is good for the host's name. */
  isVerified = false;
  /** Transactions that were begun. */
  count = 0;
  /** The last transaction was not ended by its data: RSET comes first. */
  needsReset = false;
  timeouts: Timeouts;
  deadline: number;
  log: Exchange[];

  private constructor(channel: Channel, options: SessionOptions) {
    this.channel = channel;
    this.host = options.host;
    this.address = options.address;
    this.timeouts = options.timeouts;
    this.deadline = options.deadline;
    this.log = options.log;
  }

  /** Connects, greets, and turns to TLS as wished. Throws SessionFailed. */
  static async open(options: SessionOptions): Promise<SmtpClient> {
    const hop: NextHop = { host: options.host, address: options.address, tls: "" };
    let stage: Stage = "connect";
    let client: SmtpClient | undefined;
    try {
      const connectMs = Math.min(options.timeouts.connect, options.deadline - Date.now());
      client = new SmtpClient(await Channel.open(options, connectMs), options);
      stage = "greeting";
      const greeting = await client.reply("(connect)", options.timeouts.greeting);
      if (greeting.code !== 220) throw refused(stage, greeting, hop);
      stage = "helo";
      await client.#hello(options.name, hop);
      stage = "tls";
      if (options.tls !== "never") await client.#startTls(options, hop);
      return client;
    } catch (error) {
      client?.channel.end("given up");
      if (error instanceof SessionFailed) throw error;
      if (!(error instanceof ChannelEnded)) throw error;
      const command = stage === "connect" || stage === "greeting" ? "(connect)" : stage.toUpperCase();
      const said = noReply(stage === "connect" ? "4.4.1" : "4.4.2", error.message);
      options.log.push(exchange(Date.now(), `${command} ${options.host}[${options.address}]`, said));
      throw new SessionFailed(stage, noReply(said.enhanced), `${WHERE[stage]}: ${error.message}`, hop);
    }
  }

  hop(): NextHop {
    return { host: this.host, address: this.address, tls: this.channel.tlsName() };
  }

  /** Whether another message may be sent. */
  isUsable(): boolean {
    return this.channel.isQuiet();
  }

  /** Sends one message. Never throws for what the server does. */
  send(envelope: Envelope, wire: Wire, dot: Dot): Promise<Ending[]> {
    this.count++;
    return transact(this, envelope, wire, dot);
  }

  /** The reply to a command that was written, bounded by the deadline too. */
  async reply(command: string, timeoutMs: number): Promise<Reply> {
    const { reply } = await this.#raw(command, timeoutMs);
    return reply;
  }

  quit(): void {
    this.channel.write("QUIT\r\n");
    // Its reply is worth a moment, no more.
    this.channel.next(1_000).then(
      () => this.channel.end("done"),
      () => {}, // it is closed either way
    );
  }

  async #raw(command: string, timeoutMs: number) {
    const raw = await this.channel.next(Math.min(timeoutMs, this.deadline - Date.now()));
    this.log.push(exchange(Date.now(), command, raw.reply));
    return raw;
  }

  async #hello(name: string, hop: NextHop): Promise<void> {
    this.channel.write(`EHLO ${name}\r\n`);
    const { reply, lines } = await this.#raw(`EHLO ${name}`, this.timeouts.command);
    if (reply.code === 250) {
      this.extensions = readExtensions(lines);
      return;
    }
    // RFC 5321 §3.2: a server that does not know EHLO is greeted with HELO.
    if (reply.code < 500) throw refused("helo", reply, hop);
    this.channel.write(`HELO ${name}\r\n`);
    const second = await this.reply(`HELO ${name}`, this.timeouts.command);
    if (second.code !== 250) throw refused("helo", second, hop);
    this.extensions = NO_EXTENSIONS;
  }

  async #startTls(options: SessionOptions, hop: NextHop): Promise<void> {
    const mustBeVerified = options.tls === "verified";
    if (!this.extensions.startTls) {
      if (mustBeVerified)
        throw new SessionFailed(
          "tls",
          noReply("4.7.4"),
          `${this.host} offers no TLS, which is required`,
          hop,
        );
      return;
    }
    this.channel.write("STARTTLS\r\n");
    const answer = await this.reply("STARTTLS", this.timeouts.command);
    if (answer.code !== 220) {
      // It said no, in clear, and the session goes on in clear, where that is good enough (RFC 3207 §4).
      if (mustBeVerified || answer.code === 421) throw refused("tls", answer, hop);
      return;
    }
    const ms = Math.min(this.timeouts.command, this.deadline - Date.now());
    const { certificateError } = await this.channel.secure(this.host, options.context, ms);
    this.isVerified = certificateError === "";
    if (mustBeVerified && !this.isVerified) {
      const reason = `the certificate of ${this.host} is not good: ${certificateError}`;
      throw new SessionFailed("tls", noReply("4.7.5"), reason, this.hop());
    }
    // RFC 3207 §4.2: what was known before TLS is forgotten.
    await this.#hello(options.name, this.hop());
  }
}

const WHERE: Record<Stage, string> = {
  connect: "not connected",
  greeting: "no greeting",
  helo: "no answer to the greeting",
  tls: "TLS failed",
  mail: "lost at MAIL",
  rcpt: "lost at RCPT",
  data: "lost at DATA",
  message: "lost in the message",
};

function refused(stage: Stage, reply: Reply, hop: NextHop): SessionFailed {
  return new SessionFailed(stage, reply, "", hop);
}
