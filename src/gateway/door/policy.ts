/**
 * What a session may do, as plain answers to plain questions. Mail to anybody is for those who have logged in; without a login there is
 * mail for our own domains only, on the ports that other mail servers come to, and no trick of the address changes that.
 */
import { parseAddressList } from "../../mail/address.ts";
import type { Reply } from "../../mail/reply.ts";
import type { Listener } from "../config.ts";
import { isAscii, type Path } from "./path.ts";
import { reply } from "./reply.ts";

export interface Standing {
  kind: Listener["kind"];
  isSecure: boolean;
  isAuthenticated: boolean;
  authInClear: boolean;
}

export const STARTTLS_FIRST = "must issue a STARTTLS command first";
export const RELAY_DENIED = reply(550, "5.7.1", "relaying denied: log in to send mail to others");

/** Whether a password may be told here: one in clear can be read on the way. */
export function mayLogIn({ isSecure, authInClear }: Standing): boolean {
  return isSecure || authInClear;
}

/** Why MAIL is not for this session yet. */
export function mailRefusal(standing: Standing): Reply | undefined {
  if (standing.isAuthenticated || standing.kind === "mx") return undefined;
  return reply(530, "5.7.0", mayLogIn(standing) ? "authentication required" : STARTTLS_FIRST);
}

/** The recipient of a submission, as our outbound can carry it. */
export function outboundRecipient(path: Path): string | Reply {
  // RFC 6531 needs every hop to the mailbox to know it, and ours to the next hop does not.
  if (!isAscii(path.local))
    return reply(550, "5.6.7", "mailboxes with characters beyond ASCII can't be reached from here");
  if (path.domain.startsWith("["))
    return reply(550, "5.1.2", "mail is sent to domains only, and not to addresses of hosts");
  const address = `${path.local}@${path.domain}`;
  const list = parseAddressList(address);
  const [mailbox, ...others] = "ok" in list ? list.ok : [];
  if (!mailbox || others.length > 0) return reply(553, "5.1.3", "the recipient's address is not valid");
  return mailbox.email;
}

/** The recipient of mail without AUTH, who is still to be looked up; without a word to hosts that try to relay. */
export function inboundRecipient(path: Path, isOwnDomain: boolean): string | Reply {
  // "user%elsewhere@ours", "elsewhere!user@ours", "<@ours:user@elsewhere>": ways to relay that nothing here may ever honour.
  if (!isOwnDomain || path.hasRoute || path.isQuoted || /[%!|]/.test(path.local)) return RELAY_DENIED;
  return `${path.local}@${path.domain}`;
}
