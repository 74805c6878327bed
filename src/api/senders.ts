/** Sender signatures of an account: made, confirmed by mail, changed and deleted. Another account's signature is not there. */
import * as z from "zod";
import { rotateKeys } from "../accounts/domain-checks.ts";
import { changeDomain, findDomainByName } from "../accounts/domains.ts";
import { newConfirmation } from "../accounts/sender-confirmation.ts";
import {
  addSender,
  changeSender,
  deleteSender,
  findSender,
  listSenders,
  type Sender,
} from "../accounts/senders.ts";
import type { SystemMessage } from "../accounts/system-message.ts";
import { domainOf } from "../mail/address.ts";
import { confirmationMessage } from "./confirmation-message.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { domainFields, readId, showDomain } from "./domain-fields.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { type ApiError, apiError, type Result, refused, Unavailable } from "./error.ts";
import { pageParameters } from "./query.ts";
import { MAX_NAME, MAX_NOTE, readChange, readNew, senderBody } from "./sender-fields.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export interface SenderNeeds extends SettingsNeeds {
  /** From the deployment itself; throws when it was not accepted. */
  sendSystemMessage(message: SystemMessage): Promise<"accepted" | "inactive">;
}

const family = "Sender signatures";

const item = z.object({
  Domain: z.string(),
  EmailAddress: z.string(),
  ReplyToEmailAddress: z.string(),
  Name: z.string(),
  Confirmed: z.boolean(),
  ID: z.int(),
});
const details = z.object({
  ...item.shape,
  ConfirmationPersonalNote: z.string(),
  ...domainFields.shape,
});
const done = z.object({ ErrorCode: z.literal(0), Message: z.string() });

const NOT_FOUND = apiError(501, "The sender signature for the provided 'ID' was not found.");
const NOTHING = apiError(502, "No update data was provided.");
const NOT_FOUND_WHEN = { 501: "There is no such signature" };
const FIELDS_WHEN = {
  520: "A required field is missing",
  521: `A name is longer than ${MAX_NAME} characters, or the note longer than ${MAX_NOTE}`,
  522: "An address, a name or the return path cannot be",
};
const INACTIVE_WHEN = { 406: "Mail to the address bounced or was complained of before: it cannot be asked" };

export function senderEndpoints(needs: SenderNeeds): Endpoint[] {
  const show = (sender: Sender) => ({
    ok: {
      ...showItem(sender),
      ConfirmationPersonalNote: sender.personalNote,
      ...showDomain(sender.domain, needs.mailDomain, needs.now()),
    },
  });
  const find = async (accountId: number, text: string | undefined): Promise<Result<Sender>> => {
    const id = readId(text);
    const sender = id === undefined ? undefined : await settled(findSender(needs.directory, accountId, id));
    return sender ? { ok: sender } : { error: NOT_FOUND };
  };
  const showNow = async (accountId: number, { id }: Sender) => {
    const sender = await find(accountId, String(id));
    return "error" in sender ? sender : show(sender.ok);
  };

  /** undefined when it is on its way. */
  const ask = async ({ id, email, name, personalNote }: Sender): Promise<ApiError | undefined> => {
    const token = await settled(newConfirmation(needs.directory, id, needs.now()));
    const { publicUrl } = needs;
    const message = await confirmationMessage({ email, name, personalNote, token, publicUrl });
    try {
      if ((await needs.sendSystemMessage(message)) === "accepted") return undefined;
    } catch (cause) {
      throw new Unavailable("The confirmation message cannot be sent at the moment. Please try again.", {
        cause,
      });
    }
    return apiError(
      406,
      `You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: ${email}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.`,
    );
  };

  return [
    accountEndpoint(
      {
        method: "GET",
        path: "/senders",
        family,
        summary: "Lists the account's sender signatures, by address",
        query: {
          schema: z.object({ ...pageParameters, cursor: cursorParameter(z.tuple([z.string()])).optional() }),
          code: 500,
        },
        response: z.object({
          TotalCount: z.int(),
          SenderSignatures: z.array(item),
          NextCursor: z.string().optional(),
        }),
        errors: { 500: "A paging parameter is wrong" },
      },
      async ({ accountId, query: { count, offset, cursor } }) => {
        const page = { count, offset, after: cursor?.[0] };
        const { total, found } = await settled(listSenders(needs.directory, accountId, page));
        const last = found.length === count ? found.at(-1) : undefined;
        return {
          ok: {
            TotalCount: total,
            SenderSignatures: found.map(showItem),
            ...(last ? { NextCursor: formatCursor([last.email]) } : {}),
          },
        };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/senders",
        family,
        summary: "Makes a sender signature, and asks its mailbox by mail to confirm it",
        description:
          "An address of a verified domain can be sent from at once; its signature is confirmed like any other.",
        body: { schema: senderBody },
        response: details,
        errors: {
          ...FIELDS_WHEN,
          ...INACTIVE_WHEN,
          503: "The address is a public mail provider's",
          504: "The account has it already",
        },
      },
      async ({ accountId, body }) => {
        const fields = readNew(body);
        if ("error" in fields) return fields;
        const secrets = { deploymentSecret: needs.deploymentSecret, now: needs.now() };
        const sender = await settled(addSender(needs.directory, { accountId, ...fields.ok }, secrets));
        if (!sender)
          return refused(504, `A sender signature for ${fields.ok.email} already exists on this account.`);
        let error: ApiError | undefined;
        try {
          error = await ask(sender);
        } catch (cause) {
          // What is answered with an error has changed nothing: the same request is to work later.
          await settled(deleteSender(needs.directory, sender));
          throw cause;
        }
        if (error) {
          await settled(deleteSender(needs.directory, sender));
          return { error };
        }
        await needs.accountChanged(accountId);
        return show(sender);
      },
    ),
    accountEndpoint(
      {
        method: "GET",
        path: "/senders/:id",
        family,
        summary: "A sender signature, with the records that its domain wants",
        response: details,
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const sender = await find(accountId, params.id);
        return "error" in sender ? sender : show(sender.ok);
      },
    ),
    accountEndpoint(
      {
        method: "PUT",
        path: "/senders/:id",
        family,
        summary: "Changes a sender signature, and the return path of its domain",
        description:
          "An empty text clears `ReplyToEmail`, `ReturnPathDomain` and `ConfirmationPersonalNote`.",
        body: { schema: senderBody.omit({ FromEmail: true }), empty: NOTHING },
        response: details,
        errors: { ...NOT_FOUND_WHEN, ...FIELDS_WHEN, 502: "The body names no field" },
      },
      async ({ accountId, params, body }) => {
        const sender = await find(accountId, params.id);
        if ("error" in sender) return sender;
        const change = readChange(body, domainOf(sender.ok.email));
        if ("error" in change) return change;
        const { returnPathDomain, ...own } = change.ok;
        if (Object.keys(change.ok).length === 0) return { error: NOTHING };
        await settled(changeSender(needs.directory, sender.ok.id, own));
        if (returnPathDomain !== undefined)
          await settled(changeDomain(needs.directory, sender.ok.domain, { returnPathDomain }));
        await needs.accountChanged(accountId);
        return showNow(accountId, sender.ok);
      },
    ),
    accountEndpoint(
      {
        method: "DELETE",
        path: "/senders/:id",
        family,
        summary: "Deletes a sender signature",
        response: done,
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const sender = await find(accountId, params.id);
        if ("error" in sender) return sender;
        await settled(deleteSender(needs.directory, sender.ok));
        await needs.accountChanged(accountId);
        return { ok: { ErrorCode: 0, Message: `Signature ${sender.ok.email} removed.` } };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/senders/:id/resend",
        family,
        summary: "Asks once more by mail; the link of the message before no longer works",
        response: done,
        errors: { ...NOT_FOUND_WHEN, ...INACTIVE_WHEN, 506: "It is confirmed" },
      },
      async ({ accountId, params }) => {
        const sender = await find(accountId, params.id);
        if ("error" in sender) return sender;
        const { email, confirmedAt } = sender.ok;
        if (confirmedAt !== null)
          return refused(506, `The sender signature ${email} has been confirmed already.`);
        const error = await ask(sender.ok);
        if (error) return { error };
        const Message = `Confirmation email for Sender Signature ${email} was re-sent.`;
        return { ok: { ErrorCode: 0, Message } };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/senders/:id/verifyspf",
        family,
        summary: "Says what an SPF record may include; nothing needs to be verified",
        response: details,
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const sender = await find(accountId, params.id);
        return "error" in sender ? sender : show(sender.ok);
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/senders/:id/requestnewdkim",
        family,
        summary: "Makes new keys for its domain, which take over once their records are seen",
        response: details,
        errors: { ...NOT_FOUND_WHEN, 505: "New keys wait for their records already" },
      },
      async ({ accountId, params }) => {
        const sender = await find(accountId, params.id);
        if ("error" in sender) return sender;
        const domain = await settled(findDomainByName(needs.directory, accountId, domainOf(sender.ok.email)));
        if (!domain || !(await settled(rotateKeys(domain, needs))))
          return refused(505, "This DKIM is already being renewed.");
        await needs.accountChanged(accountId);
        return showNow(accountId, sender.ok);
      },
    ),
  ];
}

function showItem({
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
