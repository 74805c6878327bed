/**
 * The way through Cloudflare's send_email binding, one recipient a call, since one that it suppresses fails the whole call. It
 * rewrites what it sends: its own Message-ID, return path and DKIM signature; the envelope's sender must be the header From.
 * So we take out the fields that it refuses, and our own signature, which would not survive.
 */
import { EmailMessage } from "cloudflare:email";
import type { Outcome } from "../../mail/outcome.ts";
import { prepare } from "./cloudflare-message.ts";
import { parseReply } from "./reply-line.ts";
import { alike, type Parcel, type Transport } from "./transport.ts";

export interface CloudflareNeeds {
  binding: { send(message: EmailMessage): Promise<unknown> };
  now(): number;
  /** Set when the account's daily quota is used up: until when. Lives as long as the isolate. */
  quota: { goneUntil: number };
}

const MAX_BYTES = 5 * 1024 * 1024;

type End = Pick<Outcome, "result" | "concerns">;

/** Codes of the binding that are not final. Every other code with E_ is about this message and will not get better. */
const NOT_FINAL: Record<string, End> = {
  E_RATE_LIMIT_EXCEEDED: { result: "deferred", concerns: "destination" },
  E_DAILY_LIMIT_EXCEEDED: { result: "deferred", concerns: "transport" },
  E_INTERNAL_SERVER_ERROR: { result: "deferred", concerns: "transport" },
  // Our account's set-up, which somebody can mend.
  E_SENDER_NOT_VERIFIED: { result: "deferred", concerns: "transport" },
  E_SENDER_DOMAIN_NOT_AVAILABLE: { result: "deferred", concerns: "transport" },
};

/** Nearest replies, so that what bounced is classified like any other. */
const REPLIES: Record<string, string> = {
  E_RECIPIENT_SUPPRESSED: "550 5.1.1",
  E_RECIPIENT_NOT_ALLOWED: "550 5.7.1",
  E_CONTENT_TOO_LARGE: "552 5.3.4",
  E_DELIVERY_FAILED: "550 5.0.0",
  E_RATE_LIMIT_EXCEEDED: "450 4.7.28",
};

export function cloudflareTransport(needs: CloudflareNeeds): Transport {
  return {
    async send(parcel) {
      if (needs.quota.goneUntil > needs.now()) return quotaGone(parcel, needs.now());
      const { from, message } = prepare(parcel.message);
      if (from === "") return alike(parcel, needs.now(), { result: "bounced", reason: "no header From" });
      if (message.length > MAX_BYTES) {
        const reason = `larger than ${MAX_BYTES} bytes, which Cloudflare does not take`;
        return alike(parcel, needs.now(), { concerns: "transport", reason });
      }
      const outcomes: Outcome[] = [];
      for (const recipient of parcel.recipients)
        outcomes.push(await sendOne({ ...parcel, recipients: [recipient] }, from, message, needs));
      return outcomes;
    },
  };
}

async function sendOne(
  parcel: Parcel,
  from: string,
  message: string,
  needs: CloudflareNeeds,
): Promise<Outcome> {
  const hop = { host: "Cloudflare Email Sending", address: "", tls: "" };
  const only = (end: Partial<Outcome>) => alike(parcel, needs.now(), { hop, ...end })[0] as Outcome;
  try {
    const sent = await needs.binding.send(new EmailMessage(from, parcel.recipients[0] ?? "", message));
    const id = (sent as { messageId?: string } | undefined)?.messageId ?? "";
    return only({ result: "delivered", reply: parseReply(`250 2.0.0 ${id}`) });
  } catch (error) {
    const { code, message: text } = error as { code?: string; message?: string };
    if (code === "E_DAILY_LIMIT_EXCEEDED") needs.quota.goneUntil = nextDay(needs.now());
    // Without a code of theirs it is a fault on the way: unknown means deferred.
    if (!code?.startsWith("E_"))
      return only({ result: "deferred", concerns: "transport", reason: `send_email: ${text}` });
    const end = NOT_FINAL[code] ?? ({ result: "bounced", concerns: "recipient" } satisfies End);
    const said = REPLIES[code] ?? (end.result === "bounced" ? "554 5.6.0" : "451 4.3.0");
    return only({ ...end, reply: parseReply(`${said} ${code}: ${text ?? ""}`) });
  }
}

function quotaGone(parcel: Parcel, now: number): Outcome[] {
  const reason = "Cloudflare's daily quota is used up until tomorrow";
  return alike(parcel, now, { concerns: "transport", reason });
}

function nextDay(now: number): number {
  const DAY_MS = 86_400_000;
  return (Math.floor(now / DAY_MS) + 1) * DAY_MS;
}
