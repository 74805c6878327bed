/** The message that asks the owner of a mailbox whether an account may send from it. Everything in it that others wrote is text. */
import { html } from "hono/html";
import { CONFIRMABLE_DAYS } from "../accounts/sender-confirmation.ts";
import type { SystemMessage } from "../accounts/system-message.ts";

export interface Asked {
  email: string;
  name: string;
  personalNote: string;
  /** What the link holds. */
  token: string;
  publicUrl: string;
}

export async function confirmationMessage({
  email,
  name,
  personalNote,
  token,
  publicUrl,
}: Asked): Promise<SystemMessage> {
  // In the query and not in the path: paths are in logs.
  const link = `${publicUrl.replace(/\/+$/, "")}/confirm?token=${token}`;
  const ask = `Somebody wants to send mail as "${name}" from ${email}.`;
  const then = `If that is right, confirm it within ${CONFIRMABLE_DAYS} days:`;
  const otherwise = "If you do not know what this is about, do nothing: nobody can send from your address.";
  const note = personalNote ? ["They say:", personalNote.replace(/^/gm, "> ")] : [];
  return {
    to: email,
    subject: `Confirm that mail may be sent from ${email}`,
    text: `${[ask, ...note, then, link, otherwise].join("\n\n")}\n`,
    html: String(
      await html`<p>${ask}</p>
${
  personalNote
    ? html`<p>They say:</p>
<blockquote style="white-space:pre-line">${personalNote}</blockquote>
`
    : ""
}<p>${then}</p>
<p><a href="${link}">Confirm ${email}</a></p>
<p>${otherwise}</p>
`,
    ),
  };
}
