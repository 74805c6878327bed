/** What is done with one sender signature beside changing it: asking its mailbox once more, SPF, and new keys for its domain. */
import * as z from "zod";
import { rotateKeys } from "../accounts/domain-checks.ts";
import { askToConfirm, INACTIVE_WHEN, type SenderNeeds, TOO_OFTEN_WHEN } from "./ask-to-confirm.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { refused } from "./error.ts";
import { afterChange, details, NOT_FOUND_WHEN, senderOfPath, showSender } from "./one-sender.ts";
import { settled } from "./settings-needs.ts";

const family = "Sender signatures";
const done = z.object({ ErrorCode: z.literal(0), Message: z.string() });

export function senderActionEndpoints(needs: SenderNeeds): Endpoint[] {
  return [
    accountEndpoint(
      {
        method: "POST",
        path: "/senders/:id/resend",
        family,
        summary: "Asks once more by mail; the link of the message before no longer works",
        response: done,
        errors: { ...NOT_FOUND_WHEN, ...INACTIVE_WHEN, ...TOO_OFTEN_WHEN, 506: "It is confirmed" },
      },
      async ({ accountId, params }) => {
        const sender = await senderOfPath(accountId, params.id, needs);
        if ("error" in sender) return sender;
        const { email, confirmedAt } = sender.ok;
        if (confirmedAt !== null)
          return refused(506, `The sender signature ${email} has been confirmed already.`);
        const error = await askToConfirm(sender.ok, needs);
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
        const sender = await senderOfPath(accountId, params.id, needs);
        return "error" in sender ? sender : { ok: showSender(sender.ok, needs) };
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
        const sender = await senderOfPath(accountId, params.id, needs);
        if ("error" in sender) return sender;
        if (!(await settled(rotateKeys(sender.ok.domain, needs))))
          return refused(505, "This DKIM is already being renewed.");
        return afterChange(sender.ok, needs);
      },
    ),
  ];
}
