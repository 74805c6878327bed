/** Replies as providers write them, and the bounce type that each is. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BounceTypeName, bounceType } from "../../src/smtp/bounce-type.ts";
import { noReply, parseReply } from "../../src/smtp/reply-text.ts";

const TYPES: BounceTypeName[] = [
  "HardBounce",
  "SoftBounce",
  "Blocked",
  "SpamNotification",
  "VirusNotification",
  "ChallengeVerification",
  "DMARCPolicy",
  "DnsError",
  "Transient",
  "Unknown",
];

const REAL: Record<string, string[]> = {
  HardBounce: [
    "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550-5.1.1 double-checking the recipient's email address for typos or\r\n550 5.1.1 unnecessary spaces. Learn more at https://support.google.com/mail/?p=NoSuchUser x12 - gsmtp",
    "550-5.2.1 The email account that you tried to reach is disabled. Learn more at\r\n550 5.2.1 https://support.google.com/mail/?p=DisabledUser - gsmtp",
    "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0] - mta1.mail.yahoo.com",
    "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
    "550 5.1.1 <spam@shop.example>: Recipient address rejected: User unknown",
    "550 No such user here",
    "550 Unrouteable address",
    "550 #5.1.0 Address rejected.",
    "550 5.1.1 unknown or illegal alias",
    "553 sorry, that recipient is not in my list of allowed rcpthosts: no mailbox here by that name (#5.7.1)".replace(
      " (#5.7.1)",
      "",
    ),
    "551 User not local",
    "556 5.1.10 the domain takes no mail",
    "550 mailbox not found",
    "550 5.1.6 recipient no longer on server",
    "550 5.0.0 <x@example.com>... User unknown",
    "550 invalid recipient",
    "554 5.1.1 mailbox does not exist",
  ],
  SoftBounce: [
    "452-4.2.2 The email account that you tried to reach is over quota. Please direct\r\n452 4.2.2 the recipient to https://support.google.com/mail/?p=OverQuotaTemp - gsmtp",
    "552-5.2.2 The email account that you tried to reach is over quota.\r\n552 5.2.2 https://support.google.com/mail/?p=OverQuotaPerm - gsmtp",
    "552 5.2.2 mailbox full",
    "554 5.2.2 mailbox full;STOREDRV.Deliver.Exception:QuotaExceededException",
    "552 5.3.4 Message size exceeds fixed limit",
    "452 4.3.1 Insufficient system storage",
    "552 Requested mail action aborted: exceeded storage allocation",
    "550 mailbox quota exceeded",
    "450 4.1.1 <x@example.com>: Recipient address rejected: unverified address",
    "451 4.3.0 Temporary server error",
    "450 mailbox busy",
  ],
  Blocked: [
    "550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal see https://www.spamhaus.org/query/ip/192.0.2.1",
    "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/",
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).",
    "550-5.7.1 [192.0.2.1] Our system has detected that this message is likely\r\n550-5.7.1 suspicious due to the very low reputation of the sending IP address.\r\n550 5.7.1 https://support.google.com/mail/answer/188131 - gsmtp",
    "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\r\n550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. - gsmtp",
    "554 5.7.1 <x@example.com>: Relay access denied",
    "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
    "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints; reputation",
    "550 5.1.1 rejected: your IP is on the RBL",
    "554 rejected due to spam URL in content",
    "550 5.7.25 The IP address sending this message does not have a PTR record setup",
    "550 High probability of spam",
    "550 5.0.0 blacklisted",
    "550 Administrative prohibition",
    "554 Denied by policy",
  ],
  DMARCPolicy: [
    "550-5.7.26 Unauthenticated email from example.com is not accepted due to\r\n550-5.7.26 domain's DMARC policy. Please contact the administrator of\r\n550 5.7.26 example.com domain if this was a legitimate mail. - gsmtp",
    "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a DMARC policy of reject.",
  ],
  SpamNotification: [
    "550 5.7.1 Message detected as spam",
    "554 5.7.1 This message has been identified as spam",
    "550 This message was classified as SPAM and may not be delivered",
    "554 5.7.1 Spam message rejected",
  ],
  VirusNotification: [
    "554 5.7.1 virus Eicar-Test-Signature detected by ClamAV",
    "550 message contains malware",
  ],
  ChallengeVerification: ["550 5.7.1 Challenge-response: please confirm your message at https://x.example"],
  DnsError: ["450 4.4.3 temporary DNS failure", "451 4.4.4 unable to route"],
  Transient: ["421 Service not available, closing transmission channel", "450 4.4.2 connection dropped"],
  Unknown: ["554 Transaction failed", "553 5.1.8 sender's domain does not exist", "599 what"],
};

describe("bounceType", () => {
  for (const [type, replies] of Object.entries(REAL)) {
    it.each(replies)(`${type}: %s`, (text) => {
      expect(bounceType(parseReply(text))).toBe(type);
    });
  }

  it.each([
    ["5.1.10", "the domain takes no mail (null MX, RFC 7505)", "HardBounce"],
    ["5.1.2", "the domain does not exist, or has no mail server", "HardBounce"],
    ["4.4.3", "DNS look-up failed (ESERVFAIL)", "DnsError"],
    ["4.4.1", "not connected: connection refused", "Transient"],
    ["4.4.2", "no reply to the final dot: no reply in 600 s", "Transient"],
    ["4.7.5", "the certificate of mx.x.example is not good: CERT_HAS_EXPIRED", "Blocked"],
    ["5.3.4", "100 bytes are more than the 10 that mx.x.example takes", "SoftBounce"],
    ["5.6.3", "mx.x.example takes no 8-bit content", "SoftBounce"],
    ["", "gateway unreachable", "Transient"],
  ])("says of what we found out ourselves, %s %s: %s", (enhanced, reason, type) => {
    expect(bounceType(noReply(enhanced), reason)).toBe(type);
  });

  it("never suppresses an address for reputation, policy or content, whatever the codes", () => {
    const codes = fc.constantFrom(421, 450, 451, 452, 550, 551, 552, 553, 554, 556);
    const enhanced = fc.constantFrom(
      "",
      "5.0.0",
      "5.1.1",
      "5.1.0",
      "5.2.1",
      "5.7.1",
      "4.7.0",
      "5.7.26",
      "5.5.0",
    );
    const words = fc.constantFrom(
      "listed at Spamhaus",
      "your IP is on our block list",
      "poor reputation",
      "message looks like spam",
      "unsolicited mail",
      "DMARC policy of reject",
      "SPF check failed",
      "DKIM signature did not verify",
      "contains a virus",
      "rate limit exceeded",
    );
    fc.assert(
      fc.property(codes, enhanced, words, (code, status, text) => {
        expect(bounceType({ code, enhanced: status, text })).not.toBe("HardBounce");
      }),
    );
  });

  it("never suppresses an address that was only given up", () => {
    fc.assert(
      fc.property(fc.integer({ min: 400, max: 499 }), fc.string(), (code, text) => {
        expect(bounceType({ code, enhanced: "4.1.1", text })).not.toBe("HardBounce");
      }),
    );
  });

  it("has an answer for anything", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 999 }),
        fc.string(),
        fc.string(),
        fc.string(),
        (code, enhanced, text, reason) => {
          expect(TYPES).toContain(bounceType({ code, enhanced, text }, reason));
        },
      ),
    );
  });
});
