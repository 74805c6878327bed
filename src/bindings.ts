/**
 * What a deployment gives the Worker, as wrangler.toml has it: bindings, vars and secrets. What each stage needs of them is made in wiring/,
 * in the file of the stage's name; no stage knows Env itself.
 */
import type { BulkObject } from "./accept/bulk.ts";
import type { OutboxObject } from "./accept/outbox.ts";
import type { ScheduleObject } from "./accept/schedule.ts";
import type { DestinationObject } from "./deliver/destination.ts";
import type { DeliveryJob } from "./mail/job.ts";
import type { HookObject } from "./notify/hook.ts";
import type { EventsObject } from "./notify/log.ts";
import type { ReceivedJob } from "./receive/consume.ts";
import type { SeenObject } from "./track/seen.ts";

export interface Env {
  /** Settings: accounts, servers, domains, templates, webhooks, suppressions; and which Outboxes there are (schema/directory.ts). */
  DIRECTORY: D1Database;
  /** What became of mail, and what came in (schema/archive.ts). */
  ARCHIVE: D1Database;
  /** The bytes of messages: those that were accepted, in segments, and those that were received. */
  MAIL: R2Bucket;

  /** From an Outbox to what delivers. */
  DELIVERIES: Queue<DeliveryJob>;
  /** Nothing is sent to it here; a consumer needs a producer to be deployed with. So with RECEIVED_DEAD. */
  DELIVERIES_DEAD: Queue<DeliveryJob>;
  /** From the doors for received mail to what reads it: references to objects in MAIL. */
  RECEIVED: Queue<ReceivedJob>;
  RECEIVED_DEAD: Queue<ReceivedJob>;

  /** Where messages are accepted, by server and region. */
  OUTBOX: DurableObjectNamespace<OutboxObject>;
  /** Bulk requests that are being released, by server. */
  BULK: DurableObjectNamespace<BulkObject>;
  /** Messages whose time has not come, by server. */
  SCHEDULE: DurableObjectNamespace<ScheduleObject>;
  /** How domains that we deliver to are doing. */
  DESTINATION: DurableObjectNamespace<DestinationObject>;
  /** What happened, in its order, by server. */
  EVENTS: DurableObjectNamespace<EventsObject>;
  /** Opens and clicks until the archive has them, by server. */
  SEEN: DurableObjectNamespace<SeenObject>;
  /** What a webhook is still to be told, by its name. */
  HOOK: DurableObjectNamespace<HookObject>;

  /** Cloudflare's own sending, one of the transports. */
  SEND_EMAIL: SendEmail;

  /** Right side of Message-IDs; our own names in the DNS are below it. */
  MAIL_DOMAIN: string;
  /** Where people reach this Worker: links in messages begin with it. */
  PUBLIC_URL: string;
  /** What answers our DNS questions (RFC 8484). */
  DNS_OVER_HTTPS: string;
  /** JSON: the gateways that mail may leave by, `[{"url"}]`. */
  GATEWAYS: string;
  /** JSON: the relay of the transport "smarthost"; "" without one. */
  SMARTHOST: string;
  /** A number: over so many Outboxes a server's mail is spread in each region. */
  OUTBOXES_PER_REGION: string;
  /** A number: so long a consumer's call stays with its deliveries, which go on beside it after that. */
  HAND_OVER_MS: string;
  /** A number, of a token that has no limit of its own. */
  REQUESTS_PER_MINUTE: string;
  /** The URL of a spam scanner with rspamd's interface, for received mail. */
  SPAM_SCANNER?: string;
  /** "1" where a probe is sent each day through each transport. */
  PROBE_DAILY: string;
  /** "1" where webhooks may be on this machine or in its network: a developer's. */
  ALLOW_PRIVATE_HOOKS?: string;

  /** A secret: seals private keys, and signs return paths and links. */
  EDGEPOST_SECRET: string;
  /** A secret, shared with the gateways. */
  GATEWAY_SECRET: string;
  SMARTHOST_PASSWORD?: string;
  SPAM_SCANNER_PASSWORD?: string;
}
