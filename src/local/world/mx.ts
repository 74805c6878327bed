/**
 * The mail server that stands for every recipient domain. The recipient's local part decides what it does (behaviours.ts); what it accepts
 * is in the inbox, on disk, before its 250.
 */
import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import type { SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from "smtp-server";
import type { Reply } from "../../mail/reply.ts";
import {
  type Behaviour,
  BLOCKED,
  behaviourOf,
  DROPS_PER_MESSAGE,
  domainOf,
  GREYLISTED,
  NOT_STORED,
  REFUSED_AT_RCPT,
  SLOW_MS,
  THROTTLED,
} from "./behaviours.ts";
import { headerOf, messageIdOf } from "./header.ts";
import type { Arrival, Inbox } from "./inbox.ts";
import type { Memory } from "./memory.ts";
import { PromptServer } from "./prompt-server.ts";
import type { Throttle } from "./throttle.ts";

/** More than any service here sends, so that what is refused is a decision of theirs. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** RFC 5321 §4.5.3.2.7. */
const IDLE_MS = 300_000;
/** A header longer than it is taken for a message whose middle has been reached. */
const DROP_AFTER_BYTES = 64 * 1024;

export interface MxNeeds {
  inbox: Inbox;
  memory: Memory;
  throttle: Throttle;
  /** Told of everything that was accepted, after its 250: what answers by mail. */
  accepted(arrival: Arrival): void;
}

type Done = (error?: Error | null, message?: string) => void;

/** One listener of the MX; `options` say its name and its TLS. */
export function mailServer(
  { inbox, memory, throttle, accepted }: MxNeeds,
  options: SMTPServerOptions,
): PromptServer {
  const refuse = (to: string, reply: Reply, done: Done) => {
    // Only a counter: a full disk must not change what the client is told.
    inbox.refused(to, `${reply.code} ${reply.enhanced}`).catch(() => undefined);
    done(Object.assign(new Error(`${reply.enhanced} ${reply.text}`), { responseCode: reply.code }));
  };

  const server = new PromptServer({
    banner: "Edgepost local world",
    disabledCommands: ["AUTH"],
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: false,
    logger: false,
    size: MAX_MESSAGE_BYTES,
    socketTimeout: IDLE_MS,
    closeTimeout: 1,
    ...options,
    onRcptTo({ address }, session, done) {
      const reply = replyToRecipient(address, session);
      if (reply) refuse(address, reply, done);
      else done();
    },
    onData(stream, session, done) {
      void receive(stream, session, done);
    },
    onClose(session) {
      throttle.closed(session.id);
    },
  });
  // Clients that reset, and handshakes that fail: part of every MX's day.
  server.on("error", (error: Error) => console.error(`mx: ${error.message}`));
  return server;

  function replyToRecipient(address: string, session: SMTPServerSession): Reply | undefined {
    const behaviour = behaviourOf(address);
    const domain = domainOf(address);
    const isTooMuch = throttle.isTooMuch(domain, session, Date.now());
    if (behaviour === "throttle" && isTooMuch) {
      throttle.leaves(domain, session.id);
      return THROTTLED;
    }
    if (behaviour === "greylist" && memory.isGreylisted(fromOf(session), address, session.id))
      return GREYLISTED;
    return REFUSED_AT_RCPT[behaviour];
  }

  async function receive(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    done: Done,
  ): Promise<void> {
    const to = session.envelope.rcptTo.map((recipient) => recipient.address);
    const behaviours = new Set<Behaviour>(to.map(behaviourOf));
    const isDropped = (soFar: Buffer) => memory.takes("drop", keyOf(soFar, to), DROPS_PER_MESSAGE);
    const raw = await readMessage(stream, behaviours.has("drop") ? isDropped : undefined);
    if (!raw) {
      server.cut(session);
      return;
    }
    if (stream.sizeExceeded) return done();
    const receivedAt = Date.now();
    if (behaviours.has("blocked")) return refuse(to.join(), BLOCKED, done);
    // Whoever took the final dot keeps the message, whether or not the client waits for the answer (RFC 1047).
    if (behaviours.has("slow")) await wait(SLOW_MS);
    const cutsAfterDot = behaviours.has("after-dot") && memory.takes("after-dot", keyOf(raw, to), 1);
    const envelope = { from: fromOf(session), to };
    const arrival = { receivedAt, envelope, tls: session.secure, helo: session.hostNameAppearsAs, raw };
    let id: string;
    try {
      id = await inbox.store(arrival);
    } catch (error) {
      console.error(`mx: not stored: ${String(error)}`);
      return refuse(to.join(), NOT_STORED, done);
    }
    if (cutsAfterDot) return server.cut(session);
    const isHeard = server.isOpen(session);
    done(null, `2.6.0 ${id} stored`);
    if (isHeard) inbox.replied(id, Date.now());
    accepted(arrival);
  }
}

/**
 * The whole message; undefined when the client went away, or is to be sent away: `isDropped` is asked once, as soon as the header is
 * there to name the message.
 */
function readMessage(
  stream: SMTPServerDataStream,
  isDropped: ((soFar: Buffer) => boolean) | undefined,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let isAsked = isDropped === undefined;
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (isAsked) return;
      const soFar = Buffer.concat(chunks);
      if (!soFar.includes("\r\n\r\n") && soFar.length < DROP_AFTER_BYTES) return;
      isAsked = true;
      if (isDropped?.(soFar)) resolve(undefined);
    });
    stream.on("end", () => {
      const whole = Buffer.concat(chunks);
      resolve(!isAsked && isDropped?.(whole) ? undefined : whole);
    });
    stream.on("error", () => resolve(undefined));
  });
}

/** Names a message on its way to one place: the same message for another domain meets another server in the real world. */
function keyOf(bytes: Buffer, to: string[]): string {
  const id = messageIdOf(headerOf(bytes)) || createHash("sha256").update(bytes).digest("hex");
  return `${id} ${domainOf(to[0] ?? "")}`;
}

function fromOf(session: SMTPServerSession): string {
  const { mailFrom } = session.envelope;
  return mailFrom ? mailFrom.address : "";
}
