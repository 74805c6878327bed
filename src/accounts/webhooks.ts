/**
 * Which URL is told of a stream's events, and of which. Its password, its headers, and a URL that holds a password are sealed with
 * the deployment's secret. Values are taken as valid.
 */
import { and, asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type LogStarts, type WebhookTriggers, webhooks } from "../schema/directory.ts";
import { TRIGGERS } from "./hooks.ts";
import { open, seal } from "./secret.ts";

/** Of one stream: each is told each event. */
export const MAX_WEBHOOKS = 30;

type Row = typeof webhooks.$inferSelect;

export interface WebhookSettings {
  url: string;
  auth?: { username: string; password: string };
  headers: { name: string; value: string }[];
  triggers: WebhookTriggers;
  /** An unverified one is told nothing. */
  status: Row["status"];
  retryFor: Row["retryFor"];
  /** What signs what it is told; the newest first. */
  secrets: SigningSecret[];
}

export interface SigningSecret {
  id: string;
  /** "whsec_…" */
  secret: string;
  /** ms */
  createdAt: number;
}

export interface Webhook extends WebhookSettings {
  id: number;
  serverId: number;
  stream: string;
  /** Where in the event log each trigger begins; null for one from before there was a log. */
  starts: LogStarts | null;
  /** Another after each change: what was sealed is never the same twice. */
  version: string;
}

/** What is secret of a webhook; `url` only when it has a user or password in it. */
type Secrets = Pick<WebhookSettings, "auth" | "headers"> & { url?: string; secrets?: SigningSecret[] };

export interface WebhookStore {
  directory: D1Database;
  deploymentSecret: string;
}

/** In the order in which they were made; of all streams without one. */
export async function listWebhooks(
  store: WebhookStore,
  serverId: number,
  stream?: string,
): Promise<Webhook[]> {
  const rows = await drizzle(store.directory)
    .select()
    .from(webhooks)
    .where(
      and(eq(webhooks.serverId, serverId), stream === undefined ? undefined : eq(webhooks.stream, stream)),
    )
    .orderBy(asc(webhooks.id));
  return Promise.all(rows.map((row) => fromRow(store, row)));
}

export async function findWebhook(
  store: WebhookStore,
  serverId: number,
  id: number,
): Promise<Webhook | undefined> {
  const row = await drizzle(store.directory).select().from(webhooks).where(one(serverId, id)).get();
  return row && fromRow(store, row);
}

/** Whether it is told of events of that type. */
export function isTold({ status, triggers }: Pick<Webhook, "status" | "triggers">, type: Trigger): boolean {
  return status === "verified" && triggers[type].Enabled;
}
type Trigger = (typeof TRIGGERS)[number];

/**
 * Which triggers begin with this change: they are told of what comes into the log from now on. What was told before goes on from
 * where it has got to.
 */
export function newlyTold(
  before: Pick<Webhook, "status" | "triggers"> | undefined,
  after: Pick<Webhook, "status" | "triggers">,
): Trigger[] {
  return TRIGGERS.filter((type) => isTold(after, type) && !(before && isTold(before, type)));
}

/** undefined when the stream has as many as it may. `head` is the place of the log's newest event. */
export async function createWebhook(
  store: WebhookStore,
  { serverId, stream, ...settings }: WebhookSettings & Pick<Webhook, "serverId" | "stream">,
  head: number,
  now: number,
): Promise<Webhook | undefined> {
  const starts = startsAt(newlyTold(undefined, settings), head);
  const { url, sealedHeaders } = await toColumns(store, settings);
  const made = await store.directory
    .prepare(
      `INSERT INTO webhooks (server_id, stream, url, sealed_headers, triggers, status, created_at, updated_at, starts, retry_for)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9
        WHERE (SELECT count(*) FROM webhooks WHERE server_id = ?1 AND stream = ?2) < ${MAX_WEBHOOKS}
       RETURNING id`,
    )
    .bind(
      ...[serverId, stream, url, sealedHeaders, JSON.stringify(settings.triggers), settings.status, now],
      ...[JSON.stringify(starts), settings.retryFor],
    )
    .first<{ id: number }>();
  return made ? { ...settings, id: made.id, serverId, stream, starts, version: sealedHeaders } : undefined;
}

/**
 * undefined when it has been changed or removed since it was read: what was decided on the old one may not hold for the new. `head` is
 * asked for where a trigger begins.
 */
export async function changeWebhook(
  store: WebhookStore,
  webhook: Webhook,
  settings: WebhookSettings,
  head: () => Promise<number>,
  now: number,
): Promise<Webhook | undefined> {
  const columns = await toColumns(store, settings);
  const { triggers, status, retryFor } = settings;
  const begun = newlyTold(webhook, settings);
  const starts = begun.length > 0 ? { ...webhook.starts, ...startsAt(begun, await head()) } : webhook.starts;
  const [row] = await drizzle(store.directory)
    .update(webhooks)
    .set({ ...columns, triggers, status, retryFor, starts, updatedAt: now })
    .where(and(one(webhook.serverId, webhook.id), eq(webhooks.sealedHeaders, webhook.version)))
    .returning({ id: webhooks.id });
  return row && { ...webhook, ...settings, starts, version: columns.sealedHeaders };
}

function startsAt(types: Trigger[], head: number): LogStarts {
  return Object.fromEntries(types.map((type) => [type, head]));
}

/** False when there is no such webhook. */
export async function deleteWebhook(directory: D1Database, serverId: number, id: number): Promise<boolean> {
  const gone = await drizzle(directory)
    .delete(webhooks)
    .where(one(serverId, id))
    .returning({ id: webhooks.id });
  return gone.length > 0;
}

async function fromRow({ deploymentSecret }: WebhookStore, row: Row): Promise<Webhook> {
  const { id, serverId, stream, triggers, status, starts, retryFor, sealedHeaders } = row;
  const sealed = JSON.parse(await open(sealedHeaders, deploymentSecret)) as Secrets;
  const { url = row.url, auth, headers, secrets = [] } = sealed;
  return {
    ...{ id, serverId, stream, url, auth, headers, secrets, triggers, status, starts, retryFor },
    version: sealedHeaders,
  };
}

async function toColumns(
  { deploymentSecret }: WebhookStore,
  { url, auth, headers, secrets: signing }: WebhookSettings,
) {
  const bare = new URL(url);
  const isSecret = bare.username !== "" || bare.password !== "";
  bare.username = "";
  bare.password = "";
  const secrets: Secrets = { auth, headers, secrets: signing, ...(isSecret && { url }) };
  return {
    url: isSecret ? bare.href : url,
    sealedHeaders: await seal(JSON.stringify(secrets), deploymentSecret),
  };
}

function one(serverId: number, id: number) {
  return and(eq(webhooks.serverId, serverId), eq(webhooks.id, id));
}
