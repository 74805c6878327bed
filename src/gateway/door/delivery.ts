/**
 * From DATA to its reply: the message's bytes are collected, looked at, and handed to the intake, whose receipt is what the client is told.
 * What keeps a session in DATA for too long, or too slowly, ends it.
 */
import { MAX_SUBMISSION_BYTES } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import type { DoorLimits } from "../config.ts";
import type { Receipt } from "../intake.ts";
import { headerRefusal } from "./header-check.ts";
import { type Flaw, MessageData } from "./message-data.ts";
import { TOO_LARGE } from "./parameters.ts";
import { reply } from "./reply.ts";
import type { Session } from "./session.ts";
import { traceField } from "./trace.ts";

/** A connection needs a moment to get going: its rate counts after this, or sooner where the whole may not take long. */
const RATE_AFTER_MS = 30_000;
/** A message that can't be taken is read to its end, where the client looks for the reply; one that stops before has none. */
const SILENT_AFTER_FLAW_MS = 10_000;

const REFUSALS: Record<Flaw, Reply> = {
  size: TOO_LARGE,
  "line end": reply(550, "5.5.2", "the message has a bare CR or LF: lines end with CRLF"),
  nul: reply(550, "5.6.0", "the message has a NUL character"),
  memory: reply(452, "4.3.1", "too much mail is arriving now, try again later"),
};

interface Arriving {
  data: MessageData;
  prefixBytes: number;
  since: number;
}

export class Delivery {
  readonly #session: Session;
  #arriving: Arriving | undefined;
  /** For the receipt: the client can do nothing but wait. */
  isWaiting = false;

  constructor(session: Session) {
    this.#session = session;
  }

  get isUnderWay(): boolean {
    return this.isWaiting || this.#arriving !== undefined;
  }

  /** DATA. */
  begin(text: string): Reply | undefined {
    const session = this.#session;
    const { input, transaction } = session;
    if (!/^DATA\s*$/i.test(text)) return reply(501, "5.5.4", "DATA has no parameters");
    const refusal = transaction.dataRefusal();
    if (refusal || !input) return refusal;
    // RFC 2920 §3.1: DATA is the last of a group. Mail that does not wait for its 354 comes from what only looks like a client.
    if (input.hasMore && !session.account) {
      session.answer(reply(503, "5.5.1", "the message came before its 354"));
      session.endWith("data before the 354");
      return undefined;
    }
    const prefix = this.#trace();
    const { memory } = session.needs;
    // Nothing is reserved for strangers: a SIZE costs them nothing, and two thousand of them would leave no room for anybody's mail.
    const declared = session.account ? transaction.size : undefined;
    const data = new MessageData({ prefix, limit: MAX_SUBMISSION_BYTES, declared, memory });
    this.#arriving = { data, prefixBytes: prefix.length, since: Date.now() };
    input.startData(data, () => void this.#end().catch((error: unknown) => session.fail(error)));
    session.dataFollows();
    return undefined;
  }

  check(now: number): void {
    if (!this.#arriving) return;
    const session = this.#session;
    const { data, since } = this.#arriving;
    const silentMs = now - (session.input?.lastInputAt ?? now);
    if (data.flaw && silentMs > SILENT_AFTER_FLAW_MS) this.#refuse(REFUSALS[data.flaw], true);
    else if (isTooSlow(data, now - since, session.needs.limits)) {
      data.release();
      this.#arriving = undefined;
      session.needs.metrics.messages.inc({ result: "too slow" });
      session.cut("slow", "4.4.2", "the message comes too slowly");
    }
  }

  /** The session is over. */
  abandon(): void {
    if (!this.#arriving) return;
    this.#session.needs.metrics.messages.inc({ result: "lost" });
    this.#arriving.data.release();
    this.#arriving = undefined;
  }

  #trace(): Buffer {
    const session = this.#session;
    const isAuthenticated = session.account !== undefined;
    return traceField({
      helo: String(session.hostNameAppearsAs),
      remoteAddress: isAuthenticated ? undefined : session.remoteAddress,
      by: session.needs.name,
      isExtended: session.openingCommand === "EHLO",
      isSecure: session.secure,
      isAuthenticated,
      isUtf8: session.transaction.isUtf8,
      session: session.id,
      at: new Date(),
    });
  }

  async #end(): Promise<void> {
    if (!this.#arriving) return;
    const { data, prefixBytes } = this.#arriving;
    const bytes = data.bytes();
    if (data.flaw) this.#refuse(REFUSALS[data.flaw], !isHarmless(data));
    else {
      const refusal = headerRefusal(bytes.subarray(prefixBytes), this.#session.needs.limits);
      if (refusal) this.#refuse(refusal, false);
      else await this.#handOn(data, bytes);
    }
  }

  async #handOn(data: MessageData, bytes: Buffer): Promise<void> {
    const session = this.#session;
    this.#arriving = undefined;
    this.isWaiting = true;
    const { account, remoteAddress, id } = session;
    const { envelope, isSubmission } = session.transaction;
    // Its recipients were let in by another rule: nothing changes that within a transaction, and if something did, nobody relays by it.
    if (isSubmission !== (account !== undefined)) throw new Error("the login changed within a transaction");
    const submitted = { envelope, session: id, remoteAddress, bytes, ...(account ? { account } : {}) };
    const receipt = await session.needs.intake.take(submitted);
    this.isWaiting = false;
    this.#note(receipt, { bytes: bytes.length, recipients: envelope.recipients.length });
    data.release();
    session._resetSession();
    session.answer(replyTo(receipt));
    this.#goOn();
  }

  /** A message that is refused for its line ends is the last: what follows may be the rest of a trick. */
  #refuse(refusal: Reply, isLast: boolean): void {
    const session = this.#session;
    const bytes = this.#arriving?.data.received ?? 0;
    this.#arriving?.data.release();
    this.#arriving = undefined;
    session.needs.metrics.messages.inc({ result: refusal.code < 500 ? "deferred" : "refused" });
    session.needs.log("message refused", {
      session: session.id,
      bytes,
      reply: `${refusal.code} ${refusal.enhanced}`,
    });
    session._resetSession();
    session.answer(refusal);
    if (isLast) session.endWith(refusal.text);
    else this.#goOn();
  }

  #goOn(): void {
    const session = this.#session;
    if (session.needs.isStopping()) session.stop();
    session._whenWritable(() => session.input?.continue());
  }

  /** One line for each message, without addresses. */
  #note(receipt: Receipt, sizes: { bytes: number; recipients: number }): void {
    const session = this.#session;
    const { metrics, log } = session.needs;
    const fields = {
      session: session.id,
      ...sizes,
      ...(session.account ? { server: session.account.serverId } : {}),
    };
    if ("reply" in receipt) {
      const { code, enhanced } = receipt.reply;
      metrics.messages.inc({ result: code < 500 ? "deferred" : "refused" });
      log("message refused", { ...fields, reply: `${code} ${enhanced}` });
      return;
    }
    session.countMessage();
    // A pool logs in once, and may go on for a day.
    if (session.account) session.needs.counts.know(session.countedBy);
    metrics.messages.inc({ result: session.account ? "accepted" : "received" });
    metrics.bytes.inc(sizes.bytes);
    // Nobody was there to hear of it: it is accepted all the same, and the client may send it again.
    log("message taken", {
      ...fields,
      messageId: receipt.messageId,
      ...(session.isOver ? { unheard: true } : {}),
    });
  }
}

/** Too much is a mistake, when it has an end. The others are what attacks are made of. */
function isHarmless(data: MessageData): boolean {
  return (data.flaw === "size" || data.flaw === "memory") && !data.isEndless;
}

function isTooSlow(data: MessageData, ms: number, limits: DoorLimits): boolean {
  if (ms > limits.data) return true;
  return (
    ms > Math.min(RATE_AFTER_MS, limits.data / 10) && data.received < (ms / 1_000) * limits.dataBytesPerSecond
  );
}

function replyTo(receipt: Receipt): Reply {
  if ("reply" in receipt) return receipt.reply;
  return reply(250, "2.0.0", receipt.messageId === "" ? "OK received" : `OK queued as ${receipt.messageId}`);
}
