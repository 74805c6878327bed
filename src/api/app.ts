/** The HTTP API: one door, and the families of routes behind it. */

import { bounceRoutes } from "./bounces.ts";
import { door } from "./door.ts";
import { emailRoutes, type SendNeeds } from "./email.ts";
import { type GatewayNeeds, gatewayRoutes } from "./gateway.ts";
import { type HealthNeeds, healthRoutes } from "./health.ts";
import { messageRoutes } from "./messages.ts";
import type { ReadNeeds } from "./read-needs.ts";
import type { RequestIdNeeds } from "./request-id.ts";
import { type SmtpTokenNeeds, smtpTokenRoutes } from "./smtp-tokens.ts";
import { suppressionRoutes } from "./suppressions.ts";

export type ApiNeeds = SendNeeds & ReadNeeds & SmtpTokenNeeds & GatewayNeeds & HealthNeeds & RequestIdNeeds;

export function apiApp(needs: ApiNeeds) {
  return door(needs)
    .route("/", emailRoutes(needs))
    .route("/", messageRoutes(needs))
    .route("/", bounceRoutes(needs))
    .route("/", suppressionRoutes(needs))
    .route("/", smtpTokenRoutes(needs))
    .route("/", gatewayRoutes(needs))
    .route("/", healthRoutes(needs));
}
