/** The one way by which the deployment itself writes to somebody: through its own gate for mail, as any customer does. */
import type { Accepted } from "../mail/accepted.ts";
import type { Submission } from "../mail/message.ts";
import { loadPolicy, type ServerPolicy } from "./policy.ts";
import { NAME, type SystemServerNeeds, systemServer } from "./system-server.ts";

export interface SystemMessage {
  /** A bare address. */
  to: string;
  subject: string;
  text: string;
  html: string;
}

export interface SystemMessageNeeds extends SystemServerNeeds {
  /** The gate for mail; `results` when it accepted. */
  accept(policy: ServerPolicy, submissions: Submission[]): Promise<{ kind: string; results?: Accepted[] }>;
}

/** The gate did not take it: nothing was sent, and it is worth another try. */
export class NotAccepted extends Error {}

/** "inactive": mail to this address bounced or was complained of before, and it gets no more. Throws when it was not accepted. */
export async function sendSystemMessage(
  needs: SystemMessageNeeds,
  message: SystemMessage,
): Promise<"accepted" | "inactive"> {
  const policy = await loadPolicy(needs.directory, await systemServer(needs));
  if (!policy) throw new NotAccepted("the deployment's own server is gone");
  const { kind, results } = await needs.accept(policy, [submissionOf(message, needs.mailDomain)]);
  const [result] = results ?? [];
  if (!result) throw new NotAccepted(`a message of the deployment was not accepted: ${kind}`);
  return result.ok ? "accepted" : "inactive";
}

/** It wants no answer, and no machine's either (RFC 3834 §5). */
function submissionOf({ to, subject, text, html }: SystemMessage, mailDomain: string): Submission {
  return {
    from: { email: `no-reply@${mailDomain}`, name: NAME },
    to: [{ email: to, name: "" }],
    cc: [],
    bcc: [],
    replyTo: [],
    subject,
    textBody: text,
    htmlBody: html,
    tag: "",
    headers: [{ name: "Auto-Submitted", value: "auto-generated" }],
    metadata: {},
    attachments: [],
    trackOpens: false,
    trackLinks: "None",
    stream: "outbound",
  };
}
