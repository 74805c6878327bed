/**
 * What webhooks are told, in Postmark's words (§16 of the wire contract): here the samples that a hook is tried with. Each has
 * every field that a real event of its kind has.
 */
import type { WebhookTriggers } from "../schema/directory.ts";

export type Trigger = keyof WebhookTriggers;

export interface SampleOf {
  serverId: number;
  stream: string;
  triggers: WebhookTriggers;
  /** Milliseconds since the epoch. */
  now: number;
}

const RECIPIENT = "recipient@example.com";

export function samplePayload(trigger: Trigger, of: SampleOf): Record<string, unknown> {
  const common = {
    RecordType: trigger,
    MessageStream: of.stream,
    MessageID: "00000000-0000-0000-0000-000000000000",
    Tag: "sample",
    Metadata: { sample: "true" },
  };
  const at = new Date(of.now).toISOString().replace("Z", "0000Z");
  switch (trigger) {
    case "Open":
      return { ...common, ...reader(at), FirstOpen: true, ReadSeconds: 0 };
    case "Click":
      return { ...common, ...reader(at), ClickLocation: "HTML", OriginalLink: "https://example.com/" };
    case "Delivery":
      return {
        ...common,
        ServerID: of.serverId,
        Recipient: RECIPIENT,
        DeliveredAt: at,
        Details: "smtp;250 2.0.0 OK",
      };
    case "Bounce":
      return {
        ...common,
        ...bounce(of, at, of.triggers.Bounce.IncludeContent),
        Type: "HardBounce",
        TypeCode: 1,
        Name: "Hard bounce",
        Description: "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        Details: "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
        CanActivate: true,
      };
    case "SpamComplaint":
      return {
        ...common,
        ...bounce(of, at, of.triggers.SpamComplaint.IncludeContent),
        Type: "SpamComplaint",
        TypeCode: 100001,
        Name: "Spam complaint",
        Description: "The subscriber explicitly marked this message as spam.",
        Details: "",
        CanActivate: false,
      };
    case "SubscriptionChange":
      return {
        ...common,
        ServerID: of.serverId,
        Recipient: RECIPIENT,
        ChangedAt: at,
        Origin: "Recipient",
        SuppressSending: true,
        SuppressionReason: "ManualSuppression",
      };
  }
}

function bounce({ serverId }: SampleOf, at: string, withContent: boolean) {
  return {
    ID: 0,
    ServerID: serverId,
    Email: RECIPIENT,
    From: "sender@example.com",
    BouncedAt: at,
    Subject: "A sample",
    DumpAvailable: false,
    Inactive: true,
    ...(withContent && { Content: "" }),
  };
}

function reader(at: string) {
  return {
    Recipient: RECIPIENT,
    ReceivedAt: at,
    Client: { Name: "Chrome 35.0.1916.153", Company: "Google", Family: "Chrome" },
    OS: { Name: "OS X 10.7 Lion", Company: "Apple Computer, Inc.", Family: "OS X 10" },
    Platform: "Desktop",
    UserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_4) AppleWebKit/537.36 Chrome/35.0.1916.153",
    Geo: {},
  };
}
