/** A server as the API shows it (§11 of the wire contract): all of its fields, always. */
import * as z from "zod";
import type { Server } from "../accounts/create.ts";
import { inboundHost } from "../accounts/inbound-domain.ts";
import { listTokens, type ServerToken } from "../accounts/tokens.ts";
import type { SettingsNeeds } from "./settings-needs.ts";
import { TRACKING } from "./submission.ts";

export const serverJson = z.object({
  ID: z.int(),
  Name: z.string(),
  ApiTokens: z
    .array(z.string())
    .describe(
      "Those that may do everything and can still be shown; empty for a token that may not. See /server/tokens for all.",
    ),
  ServerLink: z.string(),
  Color: z.string(),
  SmtpApiActivated: z.boolean(),
  RawEmailEnabled: z.boolean(),
  DeliveryType: z.enum(["Live", "Sandbox"]),
  InboundAddress: z.string(),
  InboundHash: z.string(),
  InboundHookUrl: z.string(),
  BounceHookUrl: z.string(),
  OpenHookUrl: z.string(),
  DeliveryHookUrl: z.string(),
  ClickHookUrl: z.string(),
  PostFirstOpenOnly: z.boolean(),
  InboundDomain: z.string(),
  InboundSpamThreshold: z.int(),
  TrackOpens: z.boolean(),
  TrackLinks: z.enum(TRACKING),
  IncludeBounceContentInHook: z.boolean(),
  EnableSmtpApiErrorHooks: z.boolean(),
});

/** With the tokens that the directory can still show. */
export async function showServers(servers: Server[], needs: SettingsNeeds) {
  const tokens = await listTokens(
    needs,
    servers.map((server) => server.id),
  );
  return servers.map((server) =>
    showServer(
      server,
      tokens.filter((token) => token.serverId === server.id),
      needs,
    ),
  );
}

/** Clients take any of `ApiTokens` for any request, so only those stand there that may do everything. */
export function showServer(
  server: Server,
  tokens: Pick<ServerToken, "scope" | "token">[],
  { mailDomain, publicUrl }: Pick<SettingsNeeds, "mailDomain" | "publicUrl">,
): z.infer<typeof serverJson> {
  return {
    ID: server.id,
    Name: server.name,
    ApiTokens: tokens.flatMap(({ scope, token }) => (scope === "full" && token !== null ? [token] : [])),
    ServerLink: `${publicUrl}/servers/${server.id}/streams`,
    Color: server.color,
    SmtpApiActivated: server.smtpActivated,
    RawEmailEnabled: server.rawEmailEnabled,
    DeliveryType: server.deliveryType,
    InboundAddress: `${server.inboundHash}@${inboundHost(mailDomain)}`,
    InboundHash: server.inboundHash,
    InboundHookUrl: server.inboundHookUrl,
    BounceHookUrl: server.bounceHookUrl,
    OpenHookUrl: server.openHookUrl,
    DeliveryHookUrl: server.deliveryHookUrl,
    ClickHookUrl: server.clickHookUrl,
    PostFirstOpenOnly: server.postFirstOpenOnly,
    InboundDomain: server.inboundDomain,
    InboundSpamThreshold: server.inboundSpamThreshold,
    TrackOpens: server.trackOpens,
    TrackLinks: server.trackLinks,
    IncludeBounceContentInHook: server.includeBounceContentInHook,
    EnableSmtpApiErrorHooks: server.enableSmtpApiErrorHooks,
  };
}
