/**
 * Which URL is told of a stream's events, and of which. Its password, its headers, and a URL that holds a password are sealed with
 * the deployment's secret. Values are taken as valid.
 */
import { and, asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type WebhookTriggers, webhooks } from "../schema/directory.ts";
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
}

export interface Webhook extends WebhookSettings {
  id: number;
  serverId: number;
  stream: string;
  /** Another after each change: what was sealed is never the same twice. */
  version: string;
}

/** What is secret of a webhook; `url` only when it has a user or password in it. */
type Secrets = Pick<WebhookSettings, "auth" | "headers"> & { url?: string };

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

/** undefined when the stream has as many as it may. */
export async function createWebhook(
  store: WebhookStore,
  { serverId, stream, ...settings }: WebhookSettings & Pick<Webhook, "serverId" | "stream">,
  now: number,
): Promise<Webhook | undefined> {
  const { url, sealedHeaders } = await toColumns(store, settings);
  const made = await store.directory
    .prepare(
      `INSERT INTO webhooks (server_id, stream, url, sealed_headers, triggers, status, created_at, updated_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7
        WHERE (SELECT count(*) FROM webhooks WHERE server_id = ?1 AND stream = ?2) < ${MAX_WEBHOOKS}
       RETURNING id`,
    )
    .bind(serverId, stream, url, sealedHeaders, JSON.stringify(settings.triggers), settings.status, now)
    .first<{ id: number }>();
  return made ? { ...settings, id: made.id, serverId, stream, version: sealedHeaders } : undefined;
}

/** undefined when it has been changed or removed since it was read: what was decided on the old one may not hold for the new. */
export async function changeWebhook(
  store: WebhookStore,
  webhook: Webhook,
  settings: WebhookSettings,
  now: number,
): Promise<Webhook | undefined> {
  const columns = await toColumns(store, settings);
  const { triggers, status } = settings;
  const [row] = await drizzle(store.directory)
    .update(webhooks)
    .set({ ...columns, triggers, status, updatedAt: now })
    .where(and(one(webhook.serverId, webhook.id), eq(webhooks.sealedHeaders, webhook.version)))
    .returning({ id: webhooks.id });
  return row && { ...webhook, ...settings, version: columns.sealedHeaders };
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
  const { id, serverId, stream, triggers, status, sealedHeaders } = row;
  const { url = row.url, auth, headers } = JSON.parse(await open(sealedHeaders, deploymentSecret)) as Secrets;
  return { id, serverId, stream, url, auth, headers, triggers, status, version: sealedHeaders };
}

async function toColumns({ deploymentSecret }: WebhookStore, { url, auth, headers }: WebhookSettings) {
  const bare = new URL(url);
  const isSecret = bare.username !== "" || bare.password !== "";
  bare.username = "";
  bare.password = "";
  const secrets: Secrets = { auth, headers, ...(isSecret && { url }) };
  return {
    url: isSecret ? bare.href : url,
    sealedHeaders: await seal(JSON.stringify(secrets), deploymentSecret),
  };
}

function one(serverId: number, id: number) {
  return and(eq(webhooks.serverId, serverId), eq(webhooks.id, id));
}
