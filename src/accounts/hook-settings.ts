/**
 * What a hook's object needs to tell it: where, of what, since when. A hook is known by its name (hooks.ts); webhooks have rows of
 * their own, the URLs for single types and for received mail are settings of their server.
 */
import { and, eq, isNull } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { EventType } from "../mail/event.ts";
import { servers } from "../schema/directory.ts";
import { STREAM_OF_SERVER_HOOKS, TRIGGERS } from "./hooks.ts";
import { findWebhook, type WebhookStore } from "./webhooks.ts";

export interface HookTrigger {
  type: EventType;
  /** The place in the event log behind which it is told; undefined: from where the log is when it is first looked at. */
  start?: number;
  /** Of opens, only each recipient's first. */
  firstOnly: boolean;
  /** Bounces with what came back. */
  withContent: boolean;
  /** Also of messages that SMTP took and that could not be sent (SMTPApiError). */
  withSmtpApiErrors: boolean;
}

export interface HookSettings {
  kind: "outbound" | "inbound";
  url: string;
  auth?: { username: string; password: string };
  headers: { name: string; value: string }[];
  /** What signs; the newest first. */
  secrets: string[];
  retryFor: "standard" | "threeDays";
  /** undefined: of any stream. */
  stream?: string;
  triggers: HookTrigger[];
}

export type HookName =
  | { kind: "webhook"; serverId: number; id: number }
  | { kind: "server"; serverId: number; type: ServerHookType }
  | { kind: "inbound"; serverId: number };

const SERVER_HOOK_TYPES = ["Bounce", "Open", "Click", "Delivery"] as const;
export type ServerHookType = (typeof SERVER_HOOK_TYPES)[number];

export function parseHookName(name: string): HookName | undefined {
  const [, server, kind, which] = /^(\d+)\/(webhook|server|inbound)(?:\/(\w+))?$/.exec(name) ?? [];
  const serverId = Number(server);
  if (kind === "inbound") return { kind, serverId };
  if (kind === "webhook") return { kind, serverId, id: Number(which) };
  const type = SERVER_HOOK_TYPES.find((each) => each === which);
  return kind === "server" && type ? { kind, serverId, type } : undefined;
}

/** undefined when there is no such hook, or its server has gone; one that is not verified has no triggers. */
export async function hookSettings(store: WebhookStore, name: string): Promise<HookSettings | undefined> {
  const of = parseHookName(name);
  if (!of) return undefined;
  const server = await drizzle(store.directory)
    .select()
    .from(servers)
    .where(and(eq(servers.id, of.serverId), isNull(servers.deletedAt)))
    .get();
  if (!server) return undefined;
  const withSmtpApiErrors = server.enableSmtpApiErrorHooks;
  if (of.kind === "webhook") {
    const webhook = await findWebhook(store, of.serverId, of.id);
    if (!webhook) return undefined;
    const { url, auth, headers, secrets, retryFor, stream, triggers, starts, status } = webhook;
    const types = status === "verified" ? TRIGGERS.filter((type) => triggers[type].Enabled) : [];
    return {
      ...{ kind: "outbound", url, auth, headers, retryFor, stream },
      secrets: secrets.map(({ secret }) => secret),
      triggers: types.map((type) => ({
        ...{ type, start: starts?.[type], withSmtpApiErrors },
        firstOnly: type === "Open" && triggers.Open.PostFirstOpenOnly,
        withContent: (type === "Bounce" || type === "SpamComplaint") && triggers[type].IncludeContent,
      })),
    };
  }
  const type = of.kind === "inbound" ? "Inbound" : of.type;
  const url = serverHookUrl(server, type);
  if (!url) return undefined;
  return {
    ...{ headers: [], secrets: [], retryFor: "standard" },
    ...{ kind: of.kind === "inbound" ? "inbound" : "outbound", url },
    ...(of.kind === "server" && { stream: STREAM_OF_SERVER_HOOKS }),
    triggers: [
      {
        ...{ type, start: server.hookStarts?.[type], withSmtpApiErrors },
        firstOnly: type === "Open" && server.postFirstOpenOnly,
        withContent: type === "Bounce" && server.includeBounceContentInHook,
      },
    ],
  };
}

function serverHookUrl(server: typeof servers.$inferSelect, type: ServerHookType | "Inbound"): string {
  switch (type) {
    case "Bounce":
      return server.bounceHookUrl;
    case "Open":
      return server.openHookUrl;
    case "Click":
      return server.clickHookUrl;
    case "Delivery":
      return server.deliveryHookUrl;
    case "Inbound":
      return server.inboundHookUrl;
  }
}
