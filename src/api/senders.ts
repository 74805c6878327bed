/** Sender signatures of an account: listed, made, changed and deleted. What else is done with one is in sender-actions.ts. */
import * as z from "zod";
import { changeDomain } from "../accounts/domains.ts";
import { addSender, changeSender, deleteSender, listSenders } from "../accounts/senders.ts";
import { domainOf } from "../mail/address.ts";
import { askToConfirm, INACTIVE_WHEN, type SenderNeeds } from "./ask-to-confirm.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { apiError, refused } from "./error.ts";
import {
  afterChange,
  details,
  item,
  NOT_FOUND_WHEN,
  senderOfPath,
  showItem,
  showSender,
} from "./one-sender.ts";
import { pageParameters } from "./query.ts";
import { senderActionEndpoints } from "./sender-actions.ts";
import { MAX_NAME, MAX_NOTE, readChange, readNew, senderBody } from "./sender-fields.ts";
import { settled } from "./settings-needs.ts";

const family = "Sender signatures";

const done = z.object({ ErrorCode: z.literal(0), Message: z.string() });

const NOTHING = apiError(502, "No update data was provided.");
const FIELDS_WHEN = {
  520: "A required field is missing",
  521: `A name is longer than ${MAX_NAME} characters, or the note longer than ${MAX_NOTE}`,
  522: "An address, a name or the return path cannot be",
};

export function senderEndpoints(needs: SenderNeeds): Endpoint[] {
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
        const { returnPathDomain, ...own } = fields.ok;
        const secrets = { deploymentSecret: needs.deploymentSecret, now: needs.now() };
        const sender = await settled(addSender(needs.directory, { accountId, ...own }, secrets));
        if (!sender)
          return refused(504, `A sender signature for ${own.email} already exists on this account.`);
        let isAsked = false;
        try {
          const error = await askToConfirm(sender, needs);
          if (error) return { error };
          isAsked = true;
        } finally {
          // What is answered with an error has changed nothing: the same request is to work later.
          if (!isAsked) await settled(deleteSender(needs.directory, sender));
        }
        if (returnPathDomain !== undefined)
          await settled(changeDomain(needs.directory, sender.domain, { returnPathDomain }));
        return afterChange(sender, needs);
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
        const sender = await senderOfPath(accountId, params.id, needs);
        return "error" in sender ? sender : { ok: showSender(sender.ok, needs) };
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
        const sender = await senderOfPath(accountId, params.id, needs);
        if ("error" in sender) return sender;
        const change = readChange(body, domainOf(sender.ok.email));
        if ("error" in change) return change;
        const { returnPathDomain, ...own } = change.ok;
        if (Object.keys(change.ok).length === 0) return { error: NOTHING };
        await settled(changeSender(needs.directory, sender.ok.id, own));
        if (returnPathDomain !== undefined)
          await settled(changeDomain(needs.directory, sender.ok.domain, { returnPathDomain }));
        return afterChange(sender.ok, needs);
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
        const sender = await senderOfPath(accountId, params.id, needs);
        if ("error" in sender) return sender;
        await settled(deleteSender(needs.directory, sender.ok));
        await needs.accountChanged(accountId);
        return { ok: { ErrorCode: 0, Message: `Signature ${sender.ok.email} removed.` } };
      },
    ),
    ...senderActionEndpoints(needs),
  ];
}
