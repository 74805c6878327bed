/**
 * One mail transaction's envelope, from MAIL to DATA (RFC 5321 §3.3): each command's arguments in, its reply out. It knows nothing of
 * sockets, and a session has a new one after each message, RSET, EHLO and STARTTLS.
 */
import type { Envelope, EnvelopeRecipient } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import type { Intake } from "../intake.ts";
import type { OwnDomainList } from "./own-domains.ts";
import {
  BadParameter,
  type MailParameters,
  type RcptParameters,
  readMailParameters,
  readRcptParameters,
} from "./parameters.ts";
import { type Path, type PathFault, readPathCommand } from "./path.ts";
import { inboundRecipient, mailRefusal, outboundRecipient, type Standing } from "./policy.ts";
import { reply } from "./reply.ts";

export interface TransactionNeeds {
  intake: Pick<Intake, "refusal">;
  ownDomains: Pick<OwnDomainList, "has" | "knows">;
  /** Of one message. */
  maxRecipients: number;
}

const NOT_ASCII = reply(553, "5.6.7", "the address is not ASCII: SMTPUTF8 must be asked for");
const OK_RCPT = reply(250, "2.1.5", "OK");

export class Transaction {
  readonly #needs: TransactionNeeds;
  #reversePath: string | undefined;
  /** As it was at MAIL: whose recipients these are. */
  isSubmission = false;
  #mail: MailParameters = { isUtf8: false };
  readonly #recipients = new Map<string, EnvelopeRecipient>();
  #rcptCount = 0;

  constructor(needs: TransactionNeeds) {
    this.#needs = needs;
  }

  get isBegun(): boolean {
    return this.#reversePath !== undefined;
  }

  get isUtf8(): boolean {
    return this.#mail.isUtf8;
  }

  /** As MAIL said it. */
  get size(): number | undefined {
    return this.#mail.size;
  }

  get envelope(): Envelope {
    const { ret, envid } = this.#mail;
    return {
      reversePath: this.#reversePath ?? "",
      recipients: [...this.#recipients.values()],
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
    };
  }

  mail(text: string, standing: Standing): Reply {
    const refusal = mailRefusal(standing);
    if (refusal) return refusal;
    if (this.isBegun) return reply(503, "5.5.1", "a transaction is under way: RSET ends it");
    const read = readPathCommand(text, "MAIL");
    if ("fault" in read) return faultReply(read, "MAIL FROM:<address>", "5.1.7");
    const parameters = attempt(() => readMailParameters(read.parameters));
    if ("code" in parameters) return parameters;
    if (!parameters.isUtf8 && read.path?.isAscii === false) return NOT_ASCII;
    const full = this.#needs.intake.refusal(parameters.size ?? 0);
    if (full) return full;
    this.#reversePath = read.path ? `${read.path.local}@${read.path.domain}` : "";
    this.#mail = parameters;
    this.isSubmission = standing.isAuthenticated;
    return reply(250, "2.1.0", "OK");
  }

  rcpt(text: string): Reply | Promise<Reply> {
    if (!this.isBegun) return reply(503, "5.5.1", "MAIL comes first");
    this.#rcptCount++;
    const read = readPathCommand(text, "RCPT");
    if ("fault" in read) return faultReply(read, "RCPT TO:<address>", "5.1.3");
    const { path } = read;
    if (!path) return reply(550, "5.1.3", "nobody can be reached at the null path");
    const parameters = attempt(() => readRcptParameters(read.parameters, this.#mail.isUtf8));
    if ("code" in parameters) return parameters;
    if (!this.#mail.isUtf8 && !path.isAscii) return NOT_ASCII;
    if (!this.isSubmission) return this.#inbound(path, parameters);
    const address = outboundRecipient(path);
    return typeof address === "string" ? this.#add(address, parameters) : address;
  }

  /** Why there can be no message. */
  dataRefusal(): Reply | undefined {
    if (!this.isBegun) return reply(503, "5.5.1", "MAIL comes first");
    if (this.#recipients.size > 0) return undefined;
    if (this.#rcptCount > 0) return reply(554, "5.5.1", "no valid recipients");
    return reply(503, "5.5.1", "RCPT comes first");
  }

  async #inbound(path: Path, parameters: RcptParameters): Promise<Reply> {
    const { ownDomains } = this.#needs;
    const isOwn = await ownDomains.has(path.domain);
    if (isOwn === undefined)
      return reply(451, "4.3.0", "nobody can say now whose mail is taken here, try again later");
    const address = inboundRecipient(path, isOwn);
    if (typeof address !== "string") return address;
    if (!(await ownDomains.knows(address))) return reply(550, "5.1.1", "there is no such mailbox here");
    return this.#add(address, parameters);
  }

  /** The same again counts once, with what was said of it last. */
  #add(address: string, parameters: RcptParameters): Reply {
    if (!this.#recipients.has(address) && this.#recipients.size >= this.#needs.maxRecipients)
      return reply(452, "4.5.3", "too many recipients: the others in another message");
    this.#recipients.set(address, { address, ...parameters });
    return OK_RCPT;
  }
}

function faultReply({ fault }: PathFault, syntax: string, enhanced: string): Reply {
  if (fault === "path") return reply(501, enhanced, "the address is not well-formed");
  return reply(501, "5.5.4", fault === "repeated" ? "a parameter is given twice" : `syntax: ${syntax}`);
}

function attempt<T extends object>(read: () => T): T | Reply {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BadParameter)) throw error;
    return error.reply;
  }
}
