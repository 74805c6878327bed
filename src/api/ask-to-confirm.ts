/** Sends the message that asks a mailbox to confirm its sender signature, with a new link. */
import { newConfirmation } from "../accounts/sender-confirmation.ts";
import type { Sender } from "../accounts/senders.ts";
import type { SystemMessage } from "../accounts/system-message.ts";
import { confirmationMessage } from "./confirmation-message.ts";
import { type ApiError, apiError, Unavailable } from "./error.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export interface SenderNeeds extends SettingsNeeds {
  /** From the deployment itself; throws when it was not accepted. */
  sendSystemMessage(message: SystemMessage): Promise<"accepted" | "inactive">;
}

export const INACTIVE_WHEN = {
  406: "Mail to the address bounced or was complained of before: it cannot be asked",
};

/** undefined when it is on its way. */
export async function askToConfirm(
  { id, email, name, personalNote }: Sender,
  needs: SenderNeeds,
): Promise<ApiError | undefined> {
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
}
