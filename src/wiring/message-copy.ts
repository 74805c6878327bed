/** What is put into a message late, by its Outbox or by what delivers it: the links of one recipient, and the fields of our own. */
import { ownReturnPath } from "../accounts/dns-names.ts";
import type { Env } from "../bindings.ts";
import { fillBlanks } from "../compose/fill.ts";
import { formatComplaintAddress, type Signed } from "../mail/return-path.ts";
import { fillRecipient, RECIPIENT_BLANK } from "../mail/tracking-link.ts";
import { pathKeyOf, trackingKeyOf } from "./isolate.ts";

/** What one recipient of a message gets whose links differ for each. */
export async function copyFor(
  env: Env,
  { id, bytes }: { id: string; bytes: Uint8Array },
  place: number,
): Promise<Uint8Array> {
  return fillBlanks(bytes, RECIPIENT_BLANK, await fillRecipient(await trackingKeyOf(env), id, place));
}

/** In the header of each message: where a complaint goes that is to be tied to it, and to its only reader. */
export async function ownFields(env: Env, of: Signed): Promise<string> {
  const domain = ownReturnPath(env.MAIL_DOMAIN);
  const address = await formatComplaintAddress(await pathKeyOf(env), of, domain);
  return `X-Complaints-To: ${address}\r\n`;
}
