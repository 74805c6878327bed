/** The parameters of MAIL and RCPT that we announce: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), AUTH (RFC 4954), and DSN's (RFC 3461). */
import { MAX_SUBMISSION_BYTES, type Notify } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import { reply } from "./reply.ts";

export type Parameters = ReadonlyMap<string, string | true>;

export interface MailParameters {
  size?: number;
  isUtf8: boolean;
  ret?: "FULL" | "HDRS";
  envid?: string;
}

export interface RcptParameters {
  notify?: Notify[];
  orcpt?: string;
}

/** RFC 3461 §4.4 and §4.2. */
const MAX_ENVID = 100;
const MAX_ORCPT = 500;

export const TOO_LARGE = reply(552, "5.3.4", `a message may have ${MAX_SUBMISSION_BYTES} bytes here`);

/** Throws a BadParameter. */
export function readMailParameters(parameters: Parameters): MailParameters {
  const read: MailParameters = { isUtf8: false };
  for (const [name, value] of parameters) {
    switch (name) {
      case "SIZE":
        read.size = sizeOf(value);
        break;
      case "BODY":
        if (!/^(?:7BIT|8BITMIME)$/i.test(String(value))) throw bad("BODY is 7BIT or 8BITMIME");
        break;
      case "SMTPUTF8":
        if (value !== true) throw bad("SMTPUTF8 has no value");
        read.isUtf8 = true;
        break;
      case "AUTH":
        // Who the mail is originally from: not believed, and not passed on (RFC 4954 §5).
        if (value === true) throw bad("AUTH has a value");
        break;
      case "RET": {
        const ret = String(value).toUpperCase();
        if (ret !== "FULL" && ret !== "HDRS") throw bad("RET is FULL or HDRS");
        read.ret = ret;
        break;
      }
      case "ENVID":
        read.envid = decodeXtext(value, "ENVID", false);
        if (read.envid.length > MAX_ENVID) throw bad("ENVID is too long");
        break;
      default:
        throw unknown(name);
    }
  }
  return read;
}

/** Throws a BadParameter. `isUtf8` as MAIL had it. */
export function readRcptParameters(parameters: Parameters, isUtf8: boolean): RcptParameters {
  const read: RcptParameters = {};
  for (const [name, value] of parameters) {
    if (name === "NOTIFY") read.notify = readNotify(value);
    else if (name === "ORCPT") read.orcpt = readOrcpt(value, isUtf8);
    else throw unknown(name);
  }
  return read;
}

export class BadParameter extends Error {
  readonly reply: Reply;

  constructor(answer: Reply) {
    super(answer.text);
    this.reply = answer;
  }
}

function bad(text: string): BadParameter {
  return new BadParameter(reply(501, "5.5.4", text));
}

function unknown(name: string): BadParameter {
  return new BadParameter(reply(555, "5.5.4", `the parameter ${name.slice(0, 40)} is not known here`));
}

function sizeOf(value: string | true): number {
  if (!/^\d{1,20}$/.test(String(value))) throw bad("SIZE is a number");
  const size = Number(value);
  if (size > MAX_SUBMISSION_BYTES) throw new BadParameter(TOO_LARGE);
  return size;
}

function readNotify(value: string | true): Notify[] {
  const words = String(value).toUpperCase().split(",");
  const known: readonly string[] = ["NEVER", "SUCCESS", "FAILURE", "DELAY"];
  if (!words.every((word) => known.includes(word)))
    throw bad("NOTIFY is NEVER, or any of SUCCESS, FAILURE, DELAY");
  if (words.includes("NEVER") && words.length > 1) throw bad("NOTIFY=NEVER stands alone");
  return [...new Set(words)] as Notify[];
}

function readOrcpt(value: string | true, isUtf8: boolean): string {
  const [, type, address] = /^([A-Za-z0-9!#$%&'*/?^_`{|}~-]+);(.+)$/s.exec(String(value)) ?? [];
  if (type === undefined || address === undefined) throw bad("ORCPT is a type, a semicolon and an address");
  const orcpt = `${type.toLowerCase()};${decodeXtext(address, "ORCPT", isUtf8)}`;
  if (orcpt.length > MAX_ORCPT) throw bad("ORCPT is too long");
  return orcpt;
}

/** RFC 3461 §4; what it decodes to comes into DSNs and logs, so that control characters may not be in it. */
function decodeXtext(value: string | true, name: string, isUtf8: boolean): string {
  const grammar = isUtf8 ? /^(?:[^\s+=]|\+[0-9A-F]{2})+$/ : /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;
  if (!grammar.test(String(value)) || value === true) throw bad(`${name} is not well-formed`);
  const decoded = value.replace(/\+([0-9A-F]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (/[^ -~\u00a0-\u2027\u202a-\uffff]/.test(decoded)) throw bad(`${name} has a control character`);
  return decoded;
}
