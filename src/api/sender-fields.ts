/** What a caller may say of a sender signature, and every rule about it. Pure. */
import * as z from "zod";
import { isPublicDomain } from "../accounts/public-domains.ts";
import type { NewSender } from "../accounts/senders.ts";
import { domainOf, parseAddressList, printable } from "../mail/address.ts";
import { readSubdomain } from "./domain-fields.ts";
import { type Result, refused } from "./error.ts";

/** As a From field may be. */
export const MAX_NAME = 255;
export const MAX_NOTE = 400;
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

export const senderBody = z.object({
  FromEmail: z.string().optional(),
  Name: z.string().optional(),
  ReplyToEmail: z.string().optional(),
  ReturnPathDomain: z.string().optional(),
  ConfirmationPersonalNote: z.string().optional(),
});
type Body = z.infer<typeof senderBody>;

export function readNew(
  body: Body,
): Result<Omit<NewSender, "accountId"> & Pick<SenderChange, "returnPathDomain">> {
  if (!body.FromEmail?.trim()) return refused(520, "The field 'FromEmail' is required.");
  const from = readAddress("FromEmail", body.FromEmail);
  if ("error" in from) return from;
  const email = from.ok.toLowerCase();
  const domain = domainOf(email);
  if (isPublicDomain(domain))
    return refused(503, `${domain} is a public mail domain, which nobody can send from but its provider.`);
  const fields = readChange({ ...body, Name: body.Name ?? "" }, domain);
  if ("error" in fields) return fields;
  const { name = "", replyTo = "", personalNote = "", returnPathDomain } = fields.ok;
  // What is not given, or empty, leaves the return path that the domain may have.
  return { ok: { email, name, replyTo, personalNote, returnPathDomain: returnPathDomain ?? undefined } };
}

export interface SenderChange {
  name?: string;
  replyTo?: string;
  personalNote?: string;
  /** null clears it. */
  returnPathDomain?: string | null;
}

/** Only what was given: here `null` is no value, as clients send it for what they do not change. */
export function readChange(
  { Name, ReplyToEmail, ReturnPathDomain, ConfirmationPersonalNote }: Omit<Body, "FromEmail">,
  domain: string,
): Result<SenderChange> {
  const change: SenderChange = {};
  if (Name !== undefined) {
    const name = readName(Name);
    if ("error" in name) return name;
    change.name = name.ok;
  }
  if (ReplyToEmail !== undefined) {
    const replyTo = ReplyToEmail.trim() ? readAddress("ReplyToEmail", ReplyToEmail) : { ok: "" };
    if ("error" in replyTo) return replyTo;
    change.replyTo = replyTo.ok;
  }
  if (ReturnPathDomain !== undefined) {
    const name = readSubdomain(ReturnPathDomain, { field: "ReturnPathDomain", domain, code: 522 });
    if ("error" in name) return name;
    change.returnPathDomain = name.ok;
  }
  if (ConfirmationPersonalNote !== undefined) {
    if (ConfirmationPersonalNote.length > MAX_NOTE)
      return refused(521, `Invalid 'ConfirmationPersonalNote'. It is limited to ${MAX_NOTE} characters.`);
    change.personalNote = ConfirmationPersonalNote.trim().toWellFormed();
  }
  return { ok: change };
}

function readName(text: string): Result<string> {
  const name = text.trim();
  if (name === "") return refused(520, "The field 'Name' is required.");
  if (name.length > MAX_NAME) return refused(521, `Invalid 'Name'. It is limited to ${MAX_NAME} characters.`);
  if (CONTROL.test(name)) return refused(522, "Invalid 'Name'. It may not contain control characters.");
  return { ok: name.toWellFormed() };
}

/** One address, without a name. */
function readAddress(field: string, text: string): Result<string> {
  const list = parseAddressList(text);
  const [only, ...more] = "ok" in list ? list.ok : [];
  if (!only || more.length > 0) return refused(522, `Invalid '${field}' address: '${printable(text)}'.`);
  return { ok: only.email };
}
