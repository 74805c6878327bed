/** Sends the message that asks a mailbox to confirm its sender signature, with a new link. */
import { forgetAsking, newConfirmation } from "../accounts/sender-confirmation.ts";
import type { Sender } from "../accounts/senders.ts";
import type { SystemMessage } from "../accounts/system-message.ts";
import { confirmationMessage } from "./confirmation-message.ts";
import { type ApiError, apiError, Unavailable } from "./error.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export interface SenderNeeds extends SettingsNeeds {
  /** From the deployment itself; throws when it was not accepted. */
  sendSystemMessage(message: SystemMessage): Promise<"accepted" | "inactive">;
}

export const TOO_OFTEN_WHEN = {
  429: "The mailbox was asked within a minute, or five times within a day; `Retry-After` says when it may be asked again",
};
export const INACTIVE_WHEN = {
  406: "Mail to the address bounced or was complained of before: it cannot be asked",
};

/** undefined when it is on its way. */
export async function askToConfirm(
  { id, email, name, personalNote }: Sender,
  needs: SenderNeeds,
): Promise<ApiError | undefined> {
  const now = needs.now();
  const confirmation = await settled(newConfirmation(needs.directory, id, now));
  if ("againInMs" in confirmation) return askedTooOften(email, confirmation.againInMs);
  const { token } = confirmation;
  const { publicUrl } = needs;
  const message = await confirmationMessage({ email, name, personalNote, token, publicUrl });
  let isAsked = false;
  try {
    isAsked = (await needs.sendSystemMessage(message)) === "accepted";
  } catch (cause) {
    throw new Unavailable("The confirmation message cannot be sent at the moment. Please try again.", {
      cause,
    });
  } finally {
    if (!isAsked) await settled(forgetAsking(needs.directory, id, now));
  }
  if (isAsked) return undefined;
  return apiError(
    406,
    `You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: ${email}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.`,
  );
}

function askedTooOften(email: string, againInMs: number): ApiError {
  const retryAfterSeconds = Math.ceil(againInMs / 1000);
  const text = `${email} was asked to confirm a moment ago, or five times today. It may be asked again in ${retryAfterSeconds} seconds.`;
  return { ...apiError(429, text), retryAfterSeconds };
}
