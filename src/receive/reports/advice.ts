/** What DMARC reports mean for whoever owns the domain, and what to do about it, in words. Pure. */
import type { Sender } from "./senders.ts";

/** Of all messages: what is left is forwarded mail, and there always is some. */
const GOOD_SHARE = 0.98;
const MANY = "Many addresses with a few messages each";
/** Fewer say nothing about the rest. */
const ENOUGH_MESSAGES = 100;

export function adviceOnSender(sender: Sender, domain: string): string {
  const { messages, aligned } = sender;
  const who = nameOf(sender);
  if (aligned === messages) return adviceOnPassing(sender, who, domain);
  const failed = messages - aligned;
  const many = aligned === 0 ? count(failed) : `${count(failed)} of its ${count(messages)}`;
  const noun = aligned === 0 ? plural(failed, "message") : "messages";
  const verb = who === MANY ? "send" : "sends";
  // The commonest cause speaks for the rest.
  if (sender.forwarded * 2 > failed)
    return `${who} passed on ${many} ${noun} of yours, which no longer pass on the way: mail that is forwarded or goes through a list. Nothing is to be done, as long as what you send is signed with DKIM.`;
  if (sender.foreignSignatures * 2 > failed)
    return `${who} ${verb} ${many} ${noun} as you, signed in its own name instead of yours. If it sends for you, set up DKIM for ${domain} there; if it does not, a policy of quarantine or reject keeps them out.`;
  if (sender.brokenSignatures * 2 > failed)
    return `${who} ${verb} ${many} ${noun} with your signature, which does not hold. Look whether the key of its selector is in the DNS as it was given; if it is, the messages are changed on the way, as mailing lists do.`;
  if (sender.foreignReturnPaths * 2 > failed)
    return `${who} ${verb} ${many} ${noun} as you, unsigned and with a return path of its own. If it sends for you, set up DKIM for ${domain} there, and a return path below ${domain}; if it does not, a policy of quarantine or reject keeps them out.`;
  return `${who} ${verb} ${many} ${noun} as you that pass neither: no signature of yours, and SPF does not name the address. If the server is yours, add it to the SPF record of ${domain} and sign with DKIM; if it is not, somebody forges your name, and a policy of quarantine or reject keeps that out.`;
}

function adviceOnPassing({ messages, byDkim, bySpf }: Sender, who: string, domain: string): string {
  const all = messages === 1 ? "The one message" : `All ${count(messages)} messages`;
  const from = `${all} by ${who} ${messages === 1 ? "passes" : "pass"}`;
  if (byDkim < messages)
    return `${from}, ${byDkim === 0 ? "all" : count(messages - byDkim)} by SPF alone. Sign with DKIM for ${domain} too: SPF fails as soon as a message is forwarded.`;
  if (bySpf === 0)
    return `${from}, by DKIM alone. That is enough; a return path below ${domain} would make it pass by both.`;
  return `${from}. Nothing is to be done.`;
}

/** Of the domain as a whole, and what its policy should be. `policy` is what it asks for now: "" when no report says. */
export function adviceOnDomain(
  { messages, aligned, policy }: { messages: number; aligned: number; policy: string },
  domain: string,
): string {
  if (messages === 0)
    return `No report tells of mail from ${domain} in this time. Reports come a day or two after the mail, once the record is in the DNS.`;
  const failed = messages - aligned;
  const pass = `${percent(aligned / messages)} of ${count(messages)} ${plural(messages, "message")} ${messages === 1 ? "passes" : "pass"}`;
  if (policy === "reject") return `${pass}, and the policy is reject, the strictest. Nothing is to be done.`;
  const stricter = policy === "quarantine" ? "reject" : "quarantine";
  const now = policy ? `the policy is ${policy}` : "no policy is published";
  if (messages < ENOUGH_MESSAGES)
    return `${pass}, and ${now}. These are too few to tell whether a stricter one would harm.`;
  if (aligned / messages < GOOD_SHARE)
    return `${pass}, and ${now}. See to the senders that are yours before it becomes ${stricter}: ${count(failed)} ${plural(failed, "message")} would be touched.`;
  return `${pass}, and ${now}. It can become ${stricter}: ${failed === 0 ? "nothing" : count(failed)} of these would have been touched.`;
}

/** By RFC 8460 §4.3. */
const TLS_ADVICE: Record<string, string> = {
  "starttls-not-supported": "does not offer STARTTLS: turn it on, or mail comes unencrypted or not at all",
  "certificate-host-mismatch": "shows a certificate for another name: it must name the MX host",
  "certificate-expired": "shows a certificate that has expired: renew it",
  "certificate-not-trusted":
    "shows a certificate that is not signed by a known authority, or without the chain to one",
  "validation-failure": "does not pass for a reason that the reporter does not name",
  "tlsa-invalid":
    "has a TLSA record that does not fit its certificate: publish the new one before the certificate changes",
  "dnssec-invalid": "has DNS records whose DNSSEC signatures do not hold",
  "dane-required": "has no usable TLSA record, where the sender insists on one",
  "sts-policy-fetch-error":
    "has an MTA-STS policy that cannot be fetched: see that mta-sts.<domain> answers over HTTPS",
  "sts-policy-invalid": "has an MTA-STS policy that cannot be read",
  "sts-webpki-invalid": "has an MTA-STS policy on a host whose certificate is not valid",
};

export function adviceOnTls(
  failure: { result: string; mxHost: string; count: number },
  domain: string,
): string {
  const { result, mxHost, count: n } = failure;
  const what = TLS_ADVICE[result] ?? `fails with "${result}"`;
  const host = mxHost || `The mail server of ${domain}`;
  return `${host} ${what.replace("<domain>", domain)} (${count(n)} ${plural(n, "session")}).`;
}

function nameOf({ organisation, addresses, addressCount }: Sender): string {
  if (organisation) return organisation;
  const [first] = addresses;
  return addressCount === 1 && first?.ip ? first.ip : MANY;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function plural(n: number, noun: string): string {
  return n === 1 ? noun : `${noun}s`;
}

/** Rounded down: what is not all is not called 100 %. */
function percent(share: number): string {
  return `${Math.floor(share * 1000) / 10}%`;
}
