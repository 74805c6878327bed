/** The sender signature that a path names, and how it is shown: what all endpoints of a signature have in common. */
import * as z from "zod";
import { findSender, type Sender } from "../accounts/senders.ts";
import { domainOf } from "../mail/address.ts";
import { domainFields, readId, showDomain } from "./domain-fields.ts";
import { apiError, type Result } from "./error.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export const item = z.object({
  Domain: z.string(),
  EmailAddress: z.string(),
  ReplyToEmailAddress: z.string(),
  Name: z.string(),
  Confirmed: z.boolean(),
  ID: z.int(),
});
export const details = z.object({
  ...item.shape,
  ConfirmationPersonalNote: z.string(),
  ...domainFields.shape,
});

const NOT_FOUND = apiError(501, "The sender signature for the provided 'ID' was not found.");
export const NOT_FOUND_WHEN = { 501: "There is no such signature" };

/** Another account's is not there. */
export async function senderOfPath(
  accountId: number,
  id: string | undefined,
  { directory }: SettingsNeeds,
): Promise<Result<Sender>> {
  const number = readId(id);
  const sender = number === undefined ? undefined : await settled(findSender(directory, accountId, number));
  return sender ? { ok: sender } : { error: NOT_FOUND };
}

/** After a change: all servers of the account know of it, and what is now stored is shown. */
export async function afterChange(
  { accountId, id }: Sender,
  needs: SettingsNeeds,
): Promise<Result<z.infer<typeof details>>> {
  await needs.accountChanged(accountId);
  const sender = await senderOfPath(accountId, String(id), needs);
  return "error" in sender ? sender : { ok: showSender(sender.ok, needs) };
}

export function showSender(sender: Sender, needs: SettingsNeeds): z.infer<typeof details> {
  return {
    ...showItem(sender),
    ConfirmationPersonalNote: sender.personalNote,
    ...showDomain(sender.domain, needs.mailDomain, needs.now()),
  };
}

export function showItem({
  id,
  email,
  name,
  replyTo,
  confirmedAt,
}: Pick<Sender, "id" | "email" | "name" | "replyTo" | "confirmedAt">): z.infer<typeof item> {
  return {
    Domain: domainOf(email),
    EmailAddress: email,
    ReplyToEmailAddress: replyTo,
    Name: name,
    Confirmed: confirmedAt !== null,
    ID: id,
  };
}
