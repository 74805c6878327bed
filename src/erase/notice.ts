/** Tells whoever asked for a removal that it is done: without saying whose it was, which nobody here knows any more. */
import type { SystemMessage } from "../accounts/system-message.ts";
import { parseAddressList } from "../mail/address.ts";

/** Who asked is any text; undefined when it is no address. */
export function noticeOf(requestedBy: string, id: number): SystemMessage | undefined {
  const parsed = parseAddressList(requestedBy);
  const [to, ...others] = "ok" in parsed ? parsed.ok : [];
  if (!to || others.length > 0) return undefined;
  const text = `The data removal ${id}, which you asked for, is done: what was kept of the person has been removed.`;
  return { to: to.email, subject: `Data removal ${id} is done`, text: `${text}\n`, html: `<p>${text}</p>` };
}
