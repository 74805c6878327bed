/**
 * The way through an SMTP relay on 587 or 465, spoken by nodemailer's client inside the Worker over the platform's sockets.
 * We open the socket ourselves: nodemailer would resolve the name and connect to an address, and the platform's TLS
 * checks the certificate against the name it connected to. What the relay refuses of our side (connect, TLS, AUTH, the sender)
 * concerns the transport; what it says of a recipient or the message is the recipient's.
 */
import net from "node:net";
import { Readable } from "node:stream";
import tls from "node:tls";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Outcome } from "../../mail/outcome.ts";
import { parseReply } from "./reply-line.ts";
import { alike, type Parcel, type Transport } from "./transport.ts";

export interface SmarthostConfig {
  host: string;
  port: number;
  /** TLS from the first byte (465); otherwise STARTTLS is required. */
  secure: boolean;
  /** "" for a relay that wants no AUTH. */
  user: string;
  pass: string;
  /** What we call ourselves in EHLO. */
  name: string;
}

/** A call of the Worker has six sockets, which R2 and gateways need as well. */
const MAX_CONNECTIONS = 3;
const MESSAGES_PER_CONNECTION = 100;
const CONNECT_MS = 15_000;
/** RFC 5321 §4.5.3.2.6: ten minutes after the final dot. */
const SOCKET_MS = 600_000;

export function smarthostTransport(config: SmarthostConfig, now: () => number): Transport {
  const idle: Session[] = [];
  const waiting: (() => void)[] = [];
  let open = 0;
  /** A relay may have closed one that was idle. */
  const takeUsable = (): Session | undefined => {
    for (let session = idle.pop(); session; session = idle.pop()) {
      if (session.usable) return session;
      session.end();
      open--;
    }
    return undefined;
  };
  return {
    async send(parcel) {
      let session = takeUsable();
      while (!session && open >= MAX_CONNECTIONS) {
        await new Promise<void>((resolve) => waiting.push(resolve));
        session = takeUsable();
      }
      try {
        if (!session) {
          session = new Session(config);
          open++;
          await session.open();
        }
        return await session.send(parcel, now);
      } catch (error) {
        return refused(parcel, error, config, now());
      } finally {
        if (session?.usable) idle.push(session);
        else {
          session?.end();
          open--;
        }
        waiting.shift()?.();
      }
    },
    end() {
      for (const session of idle.splice(0)) session.end();
    },
  };
}

/** nodemailer's error, as far as we read it. */
interface SmtpError extends Error {
  code?: string;
  response?: string;
  command?: string;
  recipient?: string;
  rejectedErrors?: SmtpError[];
}

class Session {
  readonly #config: SmarthostConfig;
  #connection: SMTPConnection | undefined;
  #sent = 0;
  #broken = false;
  #secured = false;

  constructor(config: SmarthostConfig) {
    this.#config = config;
  }

  get usable(): boolean {
    return !this.#broken && this.#sent < MESSAGES_PER_CONNECTION;
  }

  async open(): Promise<void> {
    const { host, port, secure, user, pass, name } = this.#config;
    try {
      const connection = new SMTPConnection({
        host,
        port,
        secure,
        secured: secure,
        connection: await connectSocket(host, port, secure),
        requireTLS: !secure,
        name,
        connectionTimeout: CONNECT_MS,
        greetingTimeout: CONNECT_MS,
        socketTimeout: SOCKET_MS,
      });
      this.#connection = connection;
      // A connection that ends calls nobody back who waits for its greeting or its answer to AUTH.
      const lost = new Promise<never>((_, reject) => {
        connection.on("error", (error: Error) => {
          this.#broken = true;
          reject(error);
        });
        connection.on("end", () => {
          this.#broken = true;
          reject(new Error("the relay closed the connection"));
        });
      });
      // Later than this it is told to who sends.
      lost.catch(() => undefined);
      const told = (ask: (done: (error?: Error | null) => void) => void) =>
        Promise.race([
          lost,
          new Promise<void>((resolve, reject) => ask((error) => (error ? reject(error) : resolve()))),
        ]);
      await told((done) => connection.connect(done));
      this.#secured = true;
      if (user !== "") await told((done) => connection.login({ credentials: { user, pass } }, done));
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }

  async send(parcel: Parcel, now: () => number): Promise<Outcome[]> {
    const { recipients, reversePath } = parcel;
    const connection = this.#connection;
    if (!connection) throw new Error("not open");
    this.#sent++;
    const message = Readable.from([Buffer.from(parcel.message)]);
    // When the last byte was taken the final dot may have been sent, and only a reply tells what became of it (RFC 1047).
    let allTaken = false;
    message.on("end", () => {
      allTaken = true;
    });
    const hop = {
      host: this.#config.host,
      address: "",
      tls: this.#secured ? "TLS" : "",
    };
    const size = parcel.message.length;
    try {
      const info = await new Promise<{ response?: string; rejectedErrors?: SmtpError[] }>(
        (resolve, reject) => {
          connection.send({ from: reversePath, to: recipients, size }, message, (error, result) =>
            error ? reject(error) : resolve(result as { response?: string; rejectedErrors?: SmtpError[] }),
          );
        },
      );
      const reply = parseReply(info.response ?? "");
      const taken = alike(parcel, now(), { result: "delivered", reply, hop });
      return withRefusals(taken, info.rejectedErrors ?? []);
    } catch (error) {
      const failure = error as SmtpError;
      // The session's state is only known after a refusal by reply; and nobody else may be told to use a doubtful one.
      this.#broken = true;
      if (failure.rejectedErrors) return withRefusals(alike(parcel, now(), { hop }), failure.rejectedErrors);
      const reply = parseReply(failure.response ?? "");
      const about = failure.command === "DATA" && reply.code !== 421;
      if (about && reply.code > 0)
        return alike(parcel, now(), { result: reply.code >= 500 ? "bounced" : "deferred", reply, hop });
      const reason = allTaken ? "connection lost after the final dot" : failure.message;
      return alike(parcel, now(), { reply, hop, reason, concerns: "transport", uncertain: allTaken });
    }
  }

  end(): void {
    if (this.#broken) this.#connection?.close();
    else this.#connection?.quit();
  }
}

/** Each recipient that RCPT refused has its own reply; 421 is about the session (RFC 5321 §3.8). */
function withRefusals(outcomes: Outcome[], errors: SmtpError[]): Outcome[] {
  return outcomes.map((outcome): Outcome => {
    const error = errors.find((e) => e.recipient === outcome.recipient);
    if (!error) return outcome;
    const reply = parseReply(error.response ?? "");
    const concerns = reply.code === 421 ? "transport" : "recipient";
    return { ...outcome, reply, concerns, result: reply.code >= 500 ? "bounced" : "deferred" };
  });
}

/** No session came about: nothing was sent. The relay refuses us, not the recipient, so even a 5xx (535) is no bounce. */
function refused(parcel: Parcel, error: unknown, { host }: SmarthostConfig, at: number): Outcome[] {
  const { response, message } = error as SmtpError;
  const hop = { host, address: "", tls: "" };
  return alike(parcel, at, {
    concerns: "transport",
    hop,
    reply: parseReply(response ?? ""),
    reason: `smarthost: ${message}`,
  });
}

function connectSocket(host: string, port: number, secure: boolean): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = secure ? tls.connect({ host, port, servername: host }) : net.connect({ host, port });
    const timer = setTimeout(() => socket.destroy(new Error("connection timed out")), CONNECT_MS);
    const failed = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once("error", failed);
    socket.once(secure ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      socket.off("error", failed);
      resolve(socket);
    });
  });
}
