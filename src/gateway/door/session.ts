/**
 * One SMTP session. The library's connection keeps what it does well, which is the life of the socket and the turn to TLS; commands and
 * replies are ours. It would greet after 100 ms (nine sessions a second for a client with one message each), read with a parser
 * that takes a bare LF for an end (command-stream.ts), and give enhanced codes by the reply code alone.
 */
import type { Socket } from "node:net";
import { SMTPConnection, type SMTPConnectionOptions } from "smtp-server/lib/smtp-connection.js";
import type { SmtpAccount } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import type { Listener as ListenerConfig } from "../config.ts";
import { CommandStream, type LineFlaw, MAX_AUTH_BYTES, MAX_COMMAND_BYTES } from "./command-stream.ts";
import { type Answer, COMMANDS } from "./commands.ts";
import { Delivery } from "./delivery.ts";
import type { Listener } from "./listener.ts";
import { LoginExchange } from "./login-exchange.ts";
import type { Standing } from "./policy.ts";
import { reply } from "./reply.ts";
import { ReplyWriter } from "./reply-writer.ts";
import type { SessionNeeds } from "./session-needs.ts";
import { Transaction } from "./transaction.ts";

interface Opening {
  socket: Socket;
  options: SMTPConnectionOptions;
  kind: ListenerConfig["kind"];
}

const HTTP = /^(?:OPTIONS|GET|HEAD|POST|PUT|DELETE|TRACE|CONNECT|PATCH) .* HTTP\/\d/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they would end the line of a reply.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

const STOPPING = reply(421, "4.3.2", "the service is restarting, try again");
const LINE_FLAWS: Record<Exclude<LineFlaw, "endless">, Reply> = {
  "line end": reply(500, "5.5.2", "lines end with CRLF here"),
  "control character": reply(500, "5.5.2", "a control character in a command"),
  "too long": reply(500, "5.5.2", "the line is too long"),
};
/** All the others are counted until there is mail. */
const OF_MAIL: ReadonlySet<string> = new Set(["MAIL", "RCPT", "DATA", "QUIT"]);

export class Session extends SMTPConnection {
  readonly needs: SessionNeeds;
  readonly kind: ListenerConfig["kind"];
  /** The address that its session is counted by. */
  readonly countedBy: string;
  readonly openedAt = Date.now();
  readonly login: LoginExchange;
  readonly delivery: Delivery;
  transaction: Transaction;
  messages = 0;
  /** Why we ended it; "" when the client did. */
  endReason = "";
  /** Takes the next line in place of a command. */
  continuation: ((text: string) => Answer) | undefined;
  #errors = 0;
  #commandsWithoutMail = 0;
  readonly #writer = new ReplyWriter();
  #isBusy = false;
  #isEnded = false;
  /** The TLS socket, even while its handshake runs; destroying the one below it would take the process down. */
  #top: Socket;
  #handshakeAt = 0;

  constructor(listener: Listener, { socket, options, kind }: Opening, needs: SessionNeeds) {
    super(listener, socket, options);
    this.needs = needs;
    this.kind = kind;
    this.countedBy = options.remoteAddress ?? "";
    this.name = needs.name;
    this.#top = socket;
    this.transaction = this.#newTransaction();
    this.login = new LoginExchange(this);
    this.delivery = new Delivery(this);
  }

  get account(): SmtpAccount | undefined {
    return (this.session.user || undefined) as SmtpAccount | undefined;
  }

  get standing(): Standing {
    const { authInClear } = this.needs;
    return {
      kind: this.kind,
      isSecure: this.secure,
      isAuthenticated: this.account !== undefined,
      authInClear,
    };
  }

  get input(): CommandStream | undefined {
    return (this._parser || undefined) as CommandStream | undefined;
  }

  get isOver(): boolean {
    return this._closing || this._closed;
  }

  override init(): void {
    this._setListeners(() => {
      this._resetSession();
      this._ready = true;
      this.#say(`220 ${this.name} ESMTP\r\n`);
    });
  }

  /** The reply to a command. 421 ends the session (RFC 5321 §3.8). */
  answer({ code, enhanced, text }: Reply): void {
    this.#say(`${code} ${enhanced} ${text.replace(CONTROL, " ")}\r\n`);
    if (code === 421) this.endWith(text);
    // RFC 5321 §4.3.2 lets a server end what is no conversation.
    else if (code >= 500 && ++this.#errors >= this.needs.limits.errors)
      this.cut("errors", "4.7.0", "too many errors");
  }

  /** 421 and the end, for a reason that is counted. */
  cut(reason: string, enhanced: string, text: string): void {
    if (this.isOver) return;
    this.needs.metrics.refused.inc({ reason });
    this.answer(reply(421, enhanced, text));
  }

  /** A fault of ours: this client may come again, and the others notice nothing. */
  fail(error: unknown): void {
    this.needs.log("session failed", { session: this.id, error: String(error).slice(0, 500) });
    this.cut("fault", "4.3.0", "a fault here, try again later");
  }

  /** What has been answered is written, and that was all. */
  endWith(reason: string): void {
    this.endReason ||= reason;
    this.close();
  }

  /** A line of an AUTH exchange (RFC 4954 §4). */
  challenge(text: string): void {
    this.#say(`334 ${text}\r\n`);
  }

  dataFollows(): void {
    this.#say("354 end the message with <CRLF>.<CRLF>\r\n");
  }

  /** There was mail: whoever sends mail may also make mistakes. */
  countMessage(): void {
    this.messages++;
    this.#errors = 0;
    this.#commandsWithoutMail = 0;
  }

  /** To EHLO, or to HELO when there are no extensions. No enhanced code (RFC 2034 §4). */
  greet(extensions: string[]): void {
    const lines = [this.name, ...extensions];
    const last = lines.length - 1;
    this.#say(lines.map((line, i) => `250${i < last ? "-" : " "}${line}\r\n`).join(""));
  }

  /** Called every now and then: ends what takes too long. */
  check(now: number): void {
    const { limits, metrics } = this.needs;
    if (this._upgrading) {
      if (now - this.#handshakeAt <= limits.handshake) return;
      metrics.refused.inc({ reason: "handshake" });
      this.destroy("the TLS handshake took too long");
    } else if (!this.isOver && !this.delivery.isWaiting) {
      const ms = this.account ? limits.session : limits.sessionWithoutAuth;
      if (now - this.openedAt > ms) this.cut("session time", "4.4.2", "this session has lasted long enough");
      else this.delivery.check(now);
    }
  }

  /** The gateway stops: a message that is arriving or waits for its receipt is the only thing to wait for. */
  stop(): void {
    if (this._upgrading) this.destroy("the gateway stops");
    else if (!this.delivery.isUnderWay && !this.isOver) this.answer(STOPPING);
  }

  destroy(reason: string): void {
    this.endReason ||= reason;
    this.#top.destroy();
  }

  override _createParser(): CommandStream {
    const input = new CommandStream();
    input.oncommand = (line: Buffer, resume?: () => void) => this._onCommand(line, resume);
    input.onflaw = (flaw, resume) => this.#onFlaw(flaw, resume);
    input.lineLimit = (start) =>
      this.continuation || /^AUTH /i.test(start.toString("latin1", 0, 5))
        ? MAX_AUTH_BYTES
        : MAX_COMMAND_BYTES;
    // Nothing in it throws; the socket's own errors come elsewhere.
    input.on("error", (error) => this.destroy(error.message));
    return input;
  }

  override _onCommand(line: Buffer, resume: () => void = () => undefined): void {
    const done = () => this.#done(resume);
    const { continuation } = this;
    this.continuation = undefined;
    // What came in clear behind STARTTLS is dropped without a word (RFC 3207 §4.2).
    if (this._upgrading || this.isOver) done();
    else {
      const text = line.toString("utf8");
      this.#run(() => (continuation ? continuation(text) : this.#command(text)), done);
    }
  }

  override _resetSession(): void {
    super._resetSession();
    this.transaction = this.#newTransaction();
  }

  override upgrade(callback: () => void, secured?: () => void): void {
    this.#handshakeAt = Date.now();
    super.upgrade(callback, secured);
  }

  override _armTimeout(socket: Socket = this._socket): void {
    this.#top = socket;
    super._armTimeout(socket);
  }

  override _onTimeout(): void {
    if (this.isOver || this._upgrading) this.destroy("silent");
    // It is the client who waits.
    else if (this.#isBusy || this.delivery.isWaiting) this._armTimeout();
    else this.cut("idle", "4.4.2", "nothing was said for too long");
  }

  /** Sockets fail: the client is gone, or speaks no TLS. */
  override _onError(error: Error & { code?: string }): void {
    this.endReason ||= `${this._upgrading ? "TLS: " : ""}${error.code ?? error.message}`.slice(0, 200);
    this.close();
  }

  override _onClose(): void {
    super._onClose();
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (this._upgrading) this.needs.metrics.handshakeFailures.inc();
    this.delivery.abandon();
    this.needs.closed(this);
  }

  #command(text: string): Answer {
    const verb = (/^[A-Za-z]+(?=\s|$)/.exec(text)?.[0] ?? "").toUpperCase();
    const command = COMMANDS.get(verb);
    if (!command) {
      if (!HTTP.test(text)) return reply(500, "5.5.1", "command not recognized");
      this.cut("http", "4.7.0", "this is a mail server");
      return undefined;
    }
    if (!OF_MAIL.has(verb)) this.#commandsWithoutMail++;
    if (this.#commandsWithoutMail <= this.needs.limits.commandsWithoutMail) return command(this, text);
    this.cut("commands", "4.7.0", "too many commands without mail");
    return undefined;
  }

  #newTransaction(): Transaction {
    const { intake, ownDomains, limits } = this.needs;
    return new Transaction({ intake, ownDomains, maxRecipients: limits.recipients });
  }

  #run(command: () => Answer, done: () => void): void {
    let answer: Answer;
    try {
      answer = command();
    } catch (error) {
      this.fail(error);
    }
    if (!(answer instanceof Promise)) {
      if (answer) this.answer(answer);
      done();
      return;
    }
    this.#isBusy = true;
    answer
      .then((later) => later && this.answer(later))
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#isBusy = false;
        done();
      });
  }

  #done(resume: () => void): void {
    if (this.needs.isStopping()) this.stop();
    this._whenWritable(resume);
  }

  #onFlaw(flaw: LineFlaw, resume: () => void): void {
    this.continuation = undefined;
    if (!this._upgrading && !this.isOver) {
      if (flaw === "endless") this.cut("line length", "4.7.0", "a line without an end");
      else {
        this.answer(LINE_FLAWS[flaw]);
        // What follows may be what somebody put into an address, and would be run as a command.
        if (flaw === "line end") this.cut("line ends", "4.7.0", "a bare LF ends no command");
      }
    }
    this.#done(resume);
  }

  #say(text: string): void {
    // While TLS begins, a reply in clear would break it.
    if (!this._upgrading) this.#writer.write(this._socket, text);
  }
}
