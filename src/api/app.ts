/** The HTTP API: one door, and the families of routes behind it. */

import type { SenderNeeds } from "./ask-to-confirm.ts";
import type { AuthenticateNeeds } from "./authenticate.ts";
import { bounceEndpoints } from "./bounces.ts";
import { type BulkApiNeeds, bulkEndpoints } from "./bulk.ts";
import { clickEndpoints } from "./clicks.ts";
import { confirmRoutes } from "./confirm.ts";
import { type DataRemovalNeeds, dataRemovalEndpoints } from "./data-removals.ts";
import { type DestinationsNeeds, destinationEndpoints } from "./destinations.ts";
import { dmarcRoutes } from "./dmarc.ts";
import type { DmarcNeeds } from "./dmarc-door.ts";
import { domainDmarcEndpoints } from "./domain-dmarc.ts";
import { domainEndpoints } from "./domains.ts";
import { door } from "./door.ts";
import { emailEndpoints } from "./email.ts";
import { type Endpoint, mount } from "./endpoint.ts";
import { type EventsNeeds, eventEndpoints, eventStreamRoutes } from "./events.ts";
import { type GatewayNeeds, gatewayRoutes } from "./gateway.ts";
import { type HealthNeeds, healthRoutes } from "./health.ts";
import { type InboundNeeds, inboundEndpoints } from "./inbound.ts";
import { inboundRuleEndpoints } from "./inbound-rules.ts";
import { messageEndpoints } from "./messages.ts";
import { openEndpoints } from "./opens.ts";
import { ownDnsRoutes } from "./own-dns.ts";
import { type ProbeNeeds, probeEndpoints } from "./probe.ts";
import type { ReadNeeds } from "./read-needs.ts";
import { referenceRoutes } from "./reference.ts";
import type { RequestIdNeeds } from "./request-id.ts";
import { type ScheduledNeeds, scheduledEndpoints } from "./scheduled.ts";
import { senderEndpoints } from "./senders.ts";
import { serverTokenEndpoints } from "./server-tokens.ts";
import { serverEndpoints } from "./servers.ts";
import { smtpTokenEndpoints } from "./smtp-tokens.ts";
import { statsEndpoints } from "./stats.ts";
import { streamEndpoints } from "./streams.ts";
import { suppressionEndpoints } from "./suppressions.ts";
import { templatePushEndpoints } from "./template-push.ts";
import { templateValidationEndpoints } from "./template-validation.ts";
import { type TemplatedNeeds, templatedEndpoints } from "./templated.ts";
import { type TemplateNeeds, templateEndpoints } from "./templates.ts";
import { webhookDeliveryEndpoints } from "./webhook-deliveries.ts";
import { webhookSecretEndpoints } from "./webhook-secrets.ts";
import { type WebhookNeeds, webhookEndpoints } from "./webhooks.ts";

export type ApiNeeds = TemplatedNeeds &
  BulkApiNeeds &
  ScheduledNeeds &
  DataRemovalNeeds &
  TemplateNeeds &
  ReadNeeds &
  ProbeNeeds &
  SenderNeeds &
  WebhookNeeds &
  DmarcNeeds &
  EventsNeeds &
  DestinationsNeeds &
  InboundNeeds &
  AuthenticateNeeds &
  GatewayNeeds &
  HealthNeeds &
  RequestIdNeeds;

/** Each in the order in which it is to match: a path with a word before one with a parameter in its place. */
export function endpoints(needs: ApiNeeds): Endpoint[] {
  return [
    ...emailEndpoints(needs),
    ...templatedEndpoints(needs),
    ...bulkEndpoints(needs),
    ...scheduledEndpoints(needs),
    ...templateValidationEndpoints(needs),
    ...templatePushEndpoints(needs),
    ...templateEndpoints(needs),
    ...serverEndpoints(needs),
    ...serverTokenEndpoints(needs),
    ...smtpTokenEndpoints(needs),
    ...streamEndpoints(needs),
    ...webhookEndpoints(needs),
    ...webhookDeliveryEndpoints(needs),
    ...webhookSecretEndpoints(needs),
    ...suppressionEndpoints(needs),
    ...probeEndpoints(needs),
    ...bounceEndpoints(needs),
    ...inboundRuleEndpoints(needs),
    ...inboundEndpoints(needs),
    ...statsEndpoints(needs),
    ...openEndpoints(needs),
    ...clickEndpoints(needs),
    ...messageEndpoints(needs),
    ...eventEndpoints(needs),
    ...destinationEndpoints(needs),
    ...domainDmarcEndpoints(needs),
    ...domainEndpoints(needs),
    ...senderEndpoints(needs),
    ...dataRemovalEndpoints(needs),
  ];
}

export function apiApp(needs: ApiNeeds) {
  const declared = endpoints(needs);
  return door(needs)
    .route("/", mount(declared, needs))
    .route("/", eventStreamRoutes(needs))
    .route("/", referenceRoutes(declared, needs.publicUrl))
    .route("/", dmarcRoutes(needs))
    .route("/", confirmRoutes(needs))
    .route("/", ownDnsRoutes(needs))
    .route("/", gatewayRoutes(needs))
    .route("/", healthRoutes(needs));
}
