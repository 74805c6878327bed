/** Postmark's types of bounces (§8.2 of the wire contract): numbers, names and what each is said to mean. */
export interface BounceType {
  code: number;
  name: string;
  description: string;
}

export const BOUNCE_TYPES: Record<string, BounceType> = {
  HardBounce: {
    code: 1,
    name: "Hard bounce",
    description: "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
  },
  Transient: {
    code: 2,
    name: "Message delayed/Undeliverable",
    description:
      "The server could not temporarily deliver your message (ex: Message is delayed due to network troubles).",
  },
  Unsubscribe: { code: 16, name: "Unsubscribe request", description: "Unsubscribe or Remove request." },
  Subscribe: {
    code: 32,
    name: "Subscribe request",
    description: "Subscribe request from someone wanting to get added to the mailing list.",
  },
  AutoResponder: {
    code: 64,
    name: "Auto responder",
    description: 'Automatic email responder (ex: "Out of Office" or "On Vacation").',
  },
  AddressChange: {
    code: 128,
    name: "Address change",
    description: "The recipient has requested an address change.",
  },
  DnsError: { code: 256, name: "DNS error", description: "A temporary DNS error." },
  SpamNotification: {
    code: 512,
    name: "Spam notification",
    description: "The message was delivered, but was either blocked by the user, or classified as spam.",
  },
  OpenRelayTest: {
    code: 1024,
    name: "Open relay test",
    description: "The NDR is actually a test email message to see if the mail server is an open relay.",
  },
  Unknown: { code: 2048, name: "Unknown", description: "Unable to classify the NDR." },
  SoftBounce: {
    code: 4096,
    name: "Soft bounce",
    description:
      "Unable to temporarily deliver message (i.e. mailbox full, account disabled, exceeds quota, out of disk space).",
  },
  VirusNotification: {
    code: 8192,
    name: "Virus notification",
    description: "The bounce is actually a virus notification warning about a virus/code infected message.",
  },
  ChallengeVerification: {
    code: 16384,
    name: "Spam challenge verification",
    description: "The bounce is a challenge asking for verification you actually sent the email.",
  },
  BadEmailAddress: {
    code: 100000,
    name: "Invalid email address",
    description: "The address is not a valid email address.",
  },
  SpamComplaint: {
    code: 100001,
    name: "Spam complaint",
    description: "The subscriber explicitly marked this message as spam.",
  },
  ManuallyDeactivated: {
    code: 100002,
    name: "Manually deactivated",
    description: "The email was manually deactivated.",
  },
  Unconfirmed: {
    code: 100003,
    name: "Registration not confirmed",
    description: "The subscriber has not clicked on the confirmation link upon registration or import.",
  },
  Blocked: {
    code: 100006,
    name: "ISP block",
    description: "Blocked from this ISP due to content or blacklisting.",
  },
  SMTPApiError: {
    code: 100007,
    name: "SMTP API error",
    description: "An error occurred while accepting an email through the SMTP API.",
  },
  InboundError: {
    code: 100008,
    name: "Processing failed",
    description: "Unable to deliver inbound message to destination inbound hook.",
  },
  DMARCPolicy: {
    code: 100009,
    name: "DMARC Policy",
    description: "Email rejected due to DMARC Policy.",
  },
  TemplateRenderingFailed: {
    code: 100010,
    name: "Template rendering failed",
    description: "An error occurred while attempting to render your template.",
  },
};

const UNKNOWN: BounceType = { code: 2048, name: "Unknown", description: "Unable to classify the NDR." };

export function bounceTypeOf(type: string): BounceType {
  return BOUNCE_TYPES[type] ?? UNKNOWN;
}
