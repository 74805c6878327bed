/**
 * Messages of the deployment that try its own way back: a probe goes by one transport to an address of ours that takes it and then reports
 * that it could not be delivered, and that report goes out as any does.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { composeDsn } from "../compose/dsn.ts";
import { domainOf } from "../mail/address.ts";
import type { Submission } from "../mail/message.ts";
import { shardName } from "../mail/message-id.ts";
import type { TransportName } from "../mail/outcome.ts";
import { shardsFor } from "../mail/shards.ts";
import { type AcceptNeeds, newIds, pack } from "./accept.ts";

/** Who waits for a probe's end looks within a minute; what is late by more tells as much as what never comes. */
const GIVE_UP_AFTER_MS = 10 * 60_000;
const REPORT_GIVES_UP_AFTER_MS = 3_600_000;

/** Its MessageID; undefined when no Outbox took it. */
export async function acceptProbe(
  policy: ServerPolicy,
  { submission, transport }: { submission: Submission; transport?: TransportName },
  region: Parameters<typeof shardsFor>[0],
  needs: AcceptNeeds,
): Promise<string | undefined> {
  for (const shard of shardsFor(region, needs.shardsPerRegion)) {
    const name = shardName(policy.serverId, shard);
    try {
      const { message, body } = await pack(policy, submission, newIds(shard, needs), needs);
      const probe = {
        ...message,
        giveUpAt: message.acceptedAt + GIVE_UP_AFTER_MS,
        ...(transport && { transports: [transport] }),
      };
      const reply = await needs
        .outbox(name, shard.region)
        .accept({ shard: name, messages: [{ message: probe, body }] });
      if (reply.kind === "accepted") return message.id;
    } catch (error) {
      needs.log("outbox passed over", { shard: name, error: String(error) });
    }
  }
  return undefined;
}

export interface ProbeReport {
  /** Names the probe that was received: it is reported once. */
  key: string;
  /** The probe's reverse-path. */
  to: string;
  probe: { id: string; address: string; receivedAt: number; raw: Uint8Array };
}

/** Throws when no Outbox took it. */
export async function acceptReport(
  policy: ServerPolicy,
  { key, to, probe }: ProbeReport,
  needs: AcceptNeeds,
): Promise<void> {
  const [shard] = shardsFor("local", needs.shardsPerRegion, key);
  if (!shard) throw new Error("no Outbox to report by");
  const ids = newIds(shard, needs);
  const from = `mailer-daemon@${needs.mailDomain}`;
  const body = composeDsn({
    messageId: ids.id,
    messageIdDomain: needs.mailDomain,
    at: ids.acceptedAt,
    from,
    to,
    reportingMta: needs.mailDomain,
    about: { id: probe.id, subject: "", acceptedAt: probe.receivedAt },
    recipients: [
      {
        address: probe.address,
        action: "failed",
        // A status and words that say nothing of the address: its bounce is of an unknown type, and suppresses nobody.
        status: "5.0.0",
        diagnostic: "554 5.0.0 this is a probe, and it comes back as any other report does",
        isReply: true,
        remoteMta: needs.mailDomain,
      },
    ],
    original: probe.raw,
    returnFull: false,
  });
  const name = shardName(policy.serverId, shard);
  const email = to.toLowerCase();
  const reply = await needs.outbox(name, shard.region).accept({
    shard: name,
    idempotency: { key, bodyHash: key },
    messages: [
      {
        body,
        message: {
          ...ids,
          stream: "outbound",
          subject: `Delivery status of ${probe.id}`,
          tag: "",
          summary: {
            from: { email: from, name: "Mail Delivery System" },
            to: [{ email, name: "" }],
            cc: [],
            bcc: [],
            recipients: [email],
            attachments: [],
            metadata: {},
            trackOpens: false,
            trackLinks: "None",
            sandboxed: false,
          },
          groups: [{ domain: domainOf(email), recipients: [email] }],
          fromDomain: needs.mailDomain,
          returnPathDomain: `bounces.${needs.mailDomain}`,
          bounceType: "",
          giveUpAt: ids.acceptedAt + REPORT_GIVES_UP_AFTER_MS,
          isDsn: true,
        },
      },
    ],
  });
  if (reply.kind !== "accepted") throw new Error(`the report of a probe was not accepted: ${reply.kind}`);
}
