/**
 * Makes, from the deployment's bindings, the few ports that each stage asks for: with objects.ts and isolate.ts the only reader of Env.
 * Nothing here decides anything.
 */
import { waitUntil } from "cloudflare:workers";
import { type AcceptNeeds, accept, acceptBatch, acceptDrafts, acceptReleased } from "./accept/accept.ts";
import type { BulkObject } from "./accept/bulk.ts";
import type { BulkNeeds } from "./accept/bulk-release.ts";
import type { OutboxNeeds, SuppressionChange } from "./accept/needs.ts";
import type { LedgerReport, OutboxObject } from "./accept/outbox.ts";
import { acceptProbe, acceptReport } from "./accept/probe.ts";
import type { ScheduleNeeds, ScheduleObject } from "./accept/schedule.ts";
import { acceptAny, type ScheduleGateNeeds } from "./accept/schedule-gate.ts";
import { isScheduledOutbox } from "./accept/schedule-release.ts";
import { makeTracker } from "./accept/tracker.ts";
import type { TrackingNeeds } from "./accept/tracking.ts";
import { lookUpAddresses } from "./accounts/dns.ts";
import { ownReturnPath } from "./accounts/dns-names.ts";
import { hookSettings } from "./accounts/hook-settings.ts";
import { hooksOf } from "./accounts/hooks.ts";
import { loadPolicy, type ServerPolicy } from "./accounts/policy.ts";
import { openKeys } from "./accounts/signing-keys.ts";
import { checkLogin } from "./accounts/smtp-tokens.ts";
import { type SystemMessage, sendSystemMessage } from "./accounts/system-message.ts";
import { type SystemServerNeeds, systemServer } from "./accounts/system-server.ts";
import { accountOfToken, serverIdOf } from "./accounts/token.ts";
import type { ApiNeeds } from "./api/app.ts";
import { contentOf, hasDump } from "./api/bounce-dump.ts";
import type { TrackingDoorNeeds } from "./api/tracking.ts";
import { findBounce, findBounceOf } from "./archive/bounces.ts";
import { findInbound, moveInbound } from "./archive/inbound.ts";
import { together } from "./archive/pending.ts";
import { fillBlanks } from "./compose/fill.ts";
import { sign } from "./compose/sign.ts";
import type { DeliverNeeds } from "./deliver/consume.ts";
import type { DestinationNeeds, DestinationObject } from "./deliver/destination.ts";
import { cloudflareTransport } from "./deliver/transport/cloudflare.ts";
import type { Gateway } from "./deliver/transport/gateway.ts";
import { gatewayTransport } from "./deliver/transport/gateway.ts";
import { sandboxTransport } from "./deliver/transport/sandbox.ts";
import { type SmarthostConfig, smarthostTransport } from "./deliver/transport/smarthost.ts";
import { destinationAt, destinationsNeeds } from "./destinations.ts";
import { erase } from "./erase/erase.ts";
import type { EraseNeeds } from "./erase/needs.ts";
import {
  borrow,
  cloudflareQuota,
  gatewaysDown,
  pathKeyOf,
  policyCache,
  rateLeases,
  recentShardNames,
  templateCache,
  trackingKeyOf,
} from "./isolate.ts";
import { log } from "./log.ts";
import type { AuthAnswer } from "./mail/ingress.ts";
import type { DeliveryJob } from "./mail/job.ts";
import type { Submission } from "./mail/message.ts";
import { parseMessageId, parseShardName, type Region, shardName } from "./mail/message-id.ts";
import {
  formatComplaintAddress,
  formatProbeAddress,
  formatReturnPath,
  type Signed,
} from "./mail/return-path.ts";
import { regionOf } from "./mail/shards.ts";
import { fillRecipient, RECIPIENT_BLANK } from "./mail/tracking-link.ts";
import type { CallNeeds } from "./notify/call.ts";
import type { HookObject } from "./notify/hook.ts";
import type { HookNeeds } from "./notify/hook-needs.ts";
import type { EventsObject, LogNeeds } from "./notify/log.ts";
import {
  bulkOf,
  eventsOf,
  hookOf,
  outboxesPerRegion,
  outboxOf,
  scheduleOf,
  seenOf,
  shardNames,
  shardNamesNear,
} from "./objects.ts";
import type { ReceivedJob } from "./receive/consume.ts";
import type { EmailRoutingNeeds } from "./receive/email-routing.ts";
import type { InboundNeeds } from "./receive/inbound/take.ts";
import { isOwnAddress, type OwnAddressNeeds, ownDomains } from "./receive/own-address.ts";
import { type ReceiveNeeds, receive } from "./receive/receive.ts";
import type { TakeNeeds } from "./receive/take.ts";
import { suppressionChanges, toldSuppressions } from "./suppress/list.ts";
import { record } from "./track/record.ts";
import { recordSeen } from "./track/record-seen.ts";
import type { SeenNeeds, SeenObject } from "./track/seen.ts";
import type { UnsubscribeNeeds } from "./track/unsubscribe.ts";

export interface Env {
  DIRECTORY: D1Database;
  ARCHIVE: D1Database;
  MAIL: R2Bucket;
  DELIVERIES: Queue<DeliveryJob>;
  DELIVERIES_DEAD: Queue<DeliveryJob>;
  RECEIVED: Queue<ReceivedJob>;
  RECEIVED_DEAD: Queue<ReceivedJob>;
  OUTBOX: DurableObjectNamespace<OutboxObject>;
  BULK: DurableObjectNamespace<BulkObject>;
  SCHEDULE: DurableObjectNamespace<ScheduleObject>;
  DESTINATION: DurableObjectNamespace<DestinationObject>;
  EVENTS: DurableObjectNamespace<EventsObject>;
  SEEN: DurableObjectNamespace<SeenObject>;
  HOOK: DurableObjectNamespace<HookObject>;
  SEND_EMAIL: SendEmail;
  MAIL_DOMAIN: string;
  PUBLIC_URL: string;
  DNS_OVER_HTTPS: string;
  GATEWAYS: string;
  SMARTHOST: string;
  OUTBOXES_PER_REGION: string;
  HAND_OVER_MS: string;
  REQUESTS_PER_MINUTE: string;
  EDGEPOST_SECRET: string;
  GATEWAY_SECRET: string;
  SMARTHOST_PASSWORD?: string;
  SPAM_SCANNER?: string;
  SPAM_SCANNER_PASSWORD?: string;
  /** "1" where webhooks may be on this machine or in its network: a developer's. */
  ALLOW_PRIVATE_HOOKS?: string;
  /** "1" where a probe is sent each day through each transport. */
  PROBE_DAILY: string;
}

/** sendBatch takes 100 messages and 256 KB; a job of 100 references is about 12 KB. */
const JOBS_PER_BATCH = 20;
/** How often a removal that was just asked for looks again at what has to end first; then cron does. */
const LOOKS_SOON = 4;
/** As sendBatch takes them. */
const REFERENCES_PER_BATCH = 100;
/** As R2 takes them. */
const KEYS_PER_DELETE = 1_000;
/** A token that has no limit of its own: what no honest client reaches, and what one Worker can serve. */
const REQUESTS_PER_MINUTE = 1_200_000;

export async function objectBytes(
  bucket: R2Bucket,
  key: string,
  range?: { offset: number; length: number },
): Promise<Uint8Array | undefined> {
  const object = await bucket.get(key, range ? { range } : undefined);
  return object ? new Uint8Array(await object.arrayBuffer()) : undefined;
}

async function deleteObjects(bucket: R2Bucket, keys: string[]): Promise<void> {
  for (let i = 0; i < keys.length; i += KEYS_PER_DELETE)
    await bucket.delete(keys.slice(i, i + KEYS_PER_DELETE));
}

function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

function trackingNeeds(env: Env): TrackingNeeds {
  return {
    publicUrl: env.PUBLIC_URL,
    recipientBlank: RECIPIENT_BLANK,
    tracker: async (message, wishes) => makeTracker(await trackingKeyOf(env), message, wishes),
    log,
  };
}

/** What one recipient of a message gets whose links differ for each. */
async function copyFor(
  env: Env,
  { id, bytes }: { id: string; bytes: Uint8Array },
  place: number,
): Promise<Uint8Array> {
  return fillBlanks(bytes, RECIPIENT_BLANK, await fillRecipient(await trackingKeyOf(env), id, place));
}

/** In the header of each message: where a complaint goes that is to be tied to it, and to its only reader. */
async function ownFields(env: Env, of: Signed): Promise<string> {
  const domain = ownReturnPath(env.MAIL_DOMAIN);
  const address = await formatComplaintAddress(await pathKeyOf(env), of, domain);
  return `X-Complaints-To: ${address}\r\n`;
}

export function outboxNeeds(env: Env): OutboxNeeds {
  return {
    now: Date.now,
    random: Math.random,
    log,
    async send(jobs) {
      for (let i = 0; i < jobs.length; i += JOBS_PER_BATCH)
        await env.DELIVERIES.sendBatch(jobs.slice(i, i + JOBS_PER_BATCH).map((body) => ({ body })));
    },
    async putObject(key, bytes) {
      await env.MAIL.put(key, bytes);
    },
    getObject: (key, range) => objectBytes(env.MAIL, key, range),
    deleteObjects: (keys) => deleteObjects(env.MAIL, keys),
    randomBytes,
    mailDomain: env.MAIL_DOMAIN,
    record: async (serverId, records) => {
      const made = await record({ archive: env.ARCHIVE, directory: env.DIRECTORY, now: Date.now }, records);
      if (made.length > 0) suppressionsChanged(env, serverId);
      return made.map(({ stream, email }) => ({ stream, email, removed: false }));
    },
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
    async announce(shard, changes) {
      const others = (await shardNames(env, parseShardName(shard).serverId)).filter((name) => name !== shard);
      await Promise.all(others.map((name) => outboxOf(env, name).changeSuppressions(changes)));
    },
    policy: (serverId) => loadPolicy(env.DIRECTORY, serverId),
    suppressionChanges: (serverId, after, limit) => suppressionChanges(env.DIRECTORY, serverId, after, limit),
    async registerShard(shard) {
      await env.DIRECTORY.prepare("INSERT INTO shards VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(shard, parseShardName(shard).serverId, Date.now())
        .run();
    },
    async sign(policy, message, bytes) {
      const keys = await openKeys(policy, message.fromDomain, env.EDGEPOST_SECRET);
      const fields = await ownFields(env, { serverId: policy.serverId, messageId: message.id });
      return (await sign(bytes, keys, message.acceptedAt)) + fields;
    },
    async returnPath(of, domain) {
      return formatReturnPath(await pathKeyOf(env), of, domain);
    },
    copyFor: (message, place) => copyFor(env, message, place),
  };
}

/** The server's log is to read what changed. It reads that at cron's sweep too, so a call that is lost only costs time. */
function suppressionsChanged(env: Env, serverId: number): void {
  const told = eventsOf(env, serverId).followSuppressions();
  waitUntil(told.catch((error) => log("suppressions not told", { serverId, error: String(error) })));
}

async function announce(env: Env, serverId: number, changes: SuppressionChange[]): Promise<void> {
  suppressionsChanged(env, serverId);
  const shards = await shardNames(env, serverId);
  await Promise.all(shards.map((shard) => outboxOf(env, shard).changeSuppressions(changes)));
}

/** Also for mail that unsubscribes. */
export function unsubscribeNeeds(env: Env): UnsubscribeNeeds {
  return {
    directory: env.DIRECTORY,
    archive: () => env.ARCHIVE,
    now: Date.now,
    log,
    announce: (serverId, changes) => announce(env, serverId, changes),
    async heldRecords(serverId, messageIds) {
      const byShard = new Map<string, string[]>();
      for (const id of messageIds) {
        const place = parseMessageId(id);
        if (!place) continue;
        const shard = shardName(serverId, place);
        byShard.set(shard, [...(byShard.get(shard) ?? []), id]);
      }
      const found = [...byShard].map(([shard, ids]) => outboxOf(env, shard).records(ids));
      return (await Promise.all(found)).flat();
    },
  };
}

export function seenNeeds(env: Env): SeenNeeds {
  return {
    ...unsubscribeNeeds(env),
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
  };
}

export function trackingDoorNeeds(env: Env): TrackingDoorNeeds {
  return {
    ...unsubscribeNeeds(env),
    key: () => trackingKeyOf(env),
    see: (serverId, fact) => seenOf(env, serverId).add([fact]),
    recordNow: (serverId, fact) => recordSeen(seenNeeds(env), serverId, [fact]),
    waitUntil,
  };
}

export function logNeeds(env: Env): LogNeeds {
  return {
    now: Date.now,
    log,
    hooks: (serverId) => hooksOf(env.DIRECTORY, serverId),
    wakeHook: (name, types) => hookOf(env, name).wake(types),
    suppressionChanges: (serverId, after, limit) => toldSuppressions(env.DIRECTORY, serverId, after, limit),
  };
}

/** The log is to wake those that are new, and they are to read their settings; both find out by themselves within a minute. */
async function hooksChanged(env: Env, serverId: number, names: string[]): Promise<void> {
  try {
    await eventsOf(env, serverId).hooksChanged();
    await Promise.all(names.map((name) => hookOf(env, name).changed()));
  } catch (error) {
    log("hooks not told", { serverId, error: String(error) });
  }
}

function callNeeds(env: Env): CallNeeds {
  return {
    fetch: (url, init) => fetch(url, init),
    addressesOf: (host) =>
      lookUpAddresses(host, { dnsUrl: env.DNS_OVER_HTTPS, fetchDns: (url, init) => fetch(url, init) }),
    allowPrivate: env.ALLOW_PRIVATE_HOOKS === "1",
  };
}

export function hookNeeds(env: Env): HookNeeds {
  const store = { directory: env.DIRECTORY, deploymentSecret: env.EDGEPOST_SECRET };
  return {
    ...callNeeds(env),
    now: Date.now,
    log,
    settings: (name) => hookSettings(store, name),
    events: (serverId) => eventsOf(env, serverId),
    async bounce(serverId, of) {
      const bounce = await findBounceOf(env.ARCHIVE, serverId, of);
      return bounce && { id: bounce.id, inactive: bounce.inactive, hasDump: hasDump(bounce, Date.now()) };
    },
    async bounceContent(serverId, id) {
      const bounce = await findBounce(env.ARCHIVE, serverId, id);
      if (!bounce || !hasDump(bounce, Date.now())) return "";
      const segment = (key: string, offset: number, length: number) =>
        objectBytes(env.MAIL, key, { offset, length });
      return contentOf({ archive: env.ARCHIVE, segment }, bounce);
    },
    async inboundPayload(serverId, id) {
      const message = await findInbound(env.ARCHIVE, serverId, id);
      if (!message?.payload || message.status === "blocked") return undefined;
      const { payload } = message;
      return async () => {
        const object = await env.MAIL.get(payload);
        if (!object) throw new Error(`${payload} is gone`);
        return object.body;
      };
    },
    async inboundTold(serverId, id, to) {
      for (const from of ["scheduled", "queued", "failed"] as const)
        if (await moveInbound(env.ARCHIVE, { serverId, id }, { from, to })) return;
    },
  };
}

export function acceptNeeds(env: Env): AcceptNeeds {
  return {
    now: Date.now,
    randomBytes,
    outbox: (shard, region) => outboxOf(env, shard, region),
    async putObject(key, bytes) {
      await env.MAIL.put(key, bytes);
    },
    mailDomain: env.MAIL_DOMAIN,
    shardsPerRegion: outboxesPerRegion(env),
    tracking: trackingNeeds(env),
    log,
  };
}

export function bulkNeeds(env: Env): BulkNeeds {
  const gate = acceptNeeds(env);
  return {
    now: Date.now,
    log,
    policy(serverId, place) {
      const name = shardName(serverId, place);
      return outboxOf(env, name, place.region).policy(name);
    },
    release: (policy, batch) => acceptDrafts(policy, batch, gate),
  };
}

export function scheduleNeeds(env: Env): ScheduleNeeds {
  const { now, log, policy } = bulkNeeds(env);
  const gate = acceptNeeds(env);
  return {
    ...{ now, log, policy, mailDomain: env.MAIL_DOMAIN },
    release: (policy, batch) => acceptReleased(policy, batch, gate),
  };
}

function systemServerNeeds(env: Env): SystemServerNeeds {
  return {
    directory: env.DIRECTORY,
    now: Date.now,
    deploymentSecret: env.EDGEPOST_SECRET,
    mailDomain: env.MAIL_DOMAIN,
  };
}

/** From the deployment itself. */
export function systemMessage(env: Env, message: SystemMessage): Promise<"accepted" | "inactive"> {
  const gate = acceptNeeds(env);
  const needs = {
    ...systemServerNeeds(env),
    accept: (policy: ServerPolicy, submissions: Submission[]) =>
      accept(policy, submissions, { region: "local" }, gate),
  };
  return sendSystemMessage(needs, message);
}

export function regionOfRequest(request: Request): Region {
  return regionOf(request.cf as { continent?: string; longitude?: string } | undefined);
}

export function apiNeeds(env: Env): ApiNeeds {
  const gate: ScheduleGateNeeds = {
    ...acceptNeeds(env),
    schedule: (serverId) => scheduleOf(env, serverId),
  };
  const policies = policyCache(env);
  const rates = rateLeases();
  return {
    now: Date.now,
    newId: () => crypto.randomUUID(),
    log,
    authenticate: (token, request) => policies.byToken(token, regionOfRequest(request)),
    retryAfter({ policy: { serverId }, token }, request) {
      const perMinute = token.ratePerMinute ?? (Number(env.REQUESTS_PER_MINUTE) || REQUESTS_PER_MINUTE);
      const name = shardName(serverId, { region: regionOfRequest(request), number: 0 });
      return rates.retryAfter({ token: token.hash, perMinute }, (wanted) => borrow(env, name, wanted));
    },
    accept: (policy, submissions, { idempotency, request }) =>
      acceptAny(policy, submissions, { region: regionOfRequest(request), idempotency }, gate),
    template: (serverId, ref) => templateCache(env).find(serverId, ref),
    templatesChanged: (serverId) => templateCache(env).forget(serverId),
    archive: () => env.ARCHIVE,
    reports: env.ARCHIVE,
    directory: env.DIRECTORY,
    bulk: (serverId) => bulkOf(env, serverId),
    schedule: (serverId) => scheduleOf(env, serverId),
    region: regionOfRequest,
    async pending(serverId, { filter, page }, request) {
      const shards = await recentShardNames(env, serverId, regionOfRequest(request));
      return together(
        await Promise.all(shards.map((shard) => outboxOf(env, shard).pending(filter, page))),
        page,
      );
    },
    async held(serverId, messageId) {
      const place = parseMessageId(messageId);
      if (!place) return undefined;
      // In this order: the schedule lets go only of what the Outbox has.
      const scheduled = isScheduledOutbox(place.number) && (await scheduleOf(env, serverId).find(messageId));
      return scheduled || outboxOf(env, shardName(serverId, place), place.region).find(messageId);
    },
    object: (key) => objectBytes(env.MAIL, key),
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
    events: (serverId) => eventsOf(env, serverId),
    ...destinationsNeeds(env, regionOfRequest),
    deleteObjects: (keys) => deleteObjects(env.MAIL, keys),
    segment: (key, offset, length) => objectBytes(env.MAIL, key, { offset, length }),
    copyFor: (message, place) => copyFor(env, message, place),
    announce: (serverId, changes) => announce(env, serverId, changes),
    async probeAddress(serverId) {
      const of = { serverId, messageId: crypto.randomUUID() };
      return formatProbeAddress(await pathKeyOf(env), of, ownReturnPath(env.MAIL_DOMAIN));
    },
    acceptProbe: (policy, probe, request) => acceptProbe(policy, probe, regionOfRequest(request), gate),
    policyChanged: (serverId) => policyChanged(env, serverId),
    async accountChanged(accountId) {
      for (const serverId of await serversOf(env, accountId)) await policyChanged(env, serverId);
    },
    sendSystemMessage: (message) => systemMessage(env, message),
    eraseSoon: () => eraseSoon(env),
    authenticateAccount: (token) => accountOfToken(env.DIRECTORY, token),
    deploymentSecret: env.EDGEPOST_SECRET,
    publicUrl: env.PUBLIC_URL,
    dnsUrl: env.DNS_OVER_HTTPS,
    fetchDns: (url, init) => fetch(url, init),
    hooks: callNeeds(env),
    hook: (name) => hookOf(env, name),
    logHead: (serverId) => eventsOf(env, serverId).head(),
    hooksChanged: (serverId, names) => hooksChanged(env, serverId, names),
    gatewaySecret: env.GATEWAY_SECRET,
    mailDomain: env.MAIL_DOMAIN,
    async login({ user, password }, request): Promise<AuthAnswer> {
      const region = regionOfRequest(request);
      const serverId = serverIdOf(user);
      const policy = serverId === undefined ? undefined : await policies.fresh(serverId, region);
      const answer = await checkLogin(policy, user, password);
      if (!policy || !answer.ok) return { refused: answer.ok ? "" : answer.why };
      const shards = gate.shardsPerRegion;
      const { stream } = answer;
      return {
        account: { serverId: policy.serverId, ...(stream === undefined ? {} : { stream }), region, shards },
      };
    },
    ownDomains: () => ownDomains(ownAddressNeeds(env)),
    isOwnAddress: (address) => isOwnAddress(address, ownAddressNeeds(env)),
    policy: (serverId, request) => policies.byServer(serverId, regionOfRequest(request)),
    acceptBatch: (policy, batch) => acceptBatch(policy, batch, gate),
    receive: (key, { envelope, remoteAddress, session }, bytes) =>
      receive(
        key,
        { v: 1, envelope, via: "gateway", remoteAddress, session, receivedAt: Date.now() },
        bytes,
        receiveNeeds(env),
      ),
    async scheduledRecipients() {
      const shards = (await shardNames(env)).map(parseShardName);
      const servers = new Set(shards.filter((s) => isScheduledOutbox(s.number)).map((s) => s.serverId));
      const counts = [...servers].map((serverId) => scheduleOf(env, serverId).recipients());
      return (await Promise.all(counts)).reduce((sum, n) => sum + n, 0);
    },
    async ledgers(): Promise<LedgerReport[]> {
      return Promise.all((await shardNames(env)).map((shard) => outboxOf(env, shard).ledger()));
    },
  };
}

/** While one run of this isolate looks again and again, another beside it would only do the same. */
let erasingUntil = 0;
const RUN_MS = 30_000;

function eraseSoon(env: Env): void {
  if (Date.now() < erasingUntil) return;
  erasingUntil = Date.now() + RUN_MS;
  const done = () => {
    erasingUntil = 0;
  };
  waitUntil(erase(eraseNeeds(env), { patience: LOOKS_SOON }).finally(done));
}

async function policyChanged(env: Env, serverId: number): Promise<void> {
  policyCache(env).forget(serverId);
  const shards = await shardNamesNear(env, serverId, "local");
  const told = await Promise.allSettled(shards.map((shard) => outboxOf(env, shard).policyChanged()));
  // One that is away reads its policy anew by itself before long.
  for (const result of told)
    if (result.status === "rejected") log("outbox not told", { serverId, error: String(result.reason) });
}

async function serversOf(env: Env, accountId: number): Promise<number[]> {
  const { results } = await env.DIRECTORY.prepare(
    "SELECT id FROM servers WHERE account_id = ? AND deleted_at IS NULL",
  )
    .bind(accountId)
    .all<{ id: number }>();
  return results.map((r) => r.id);
}

function ownAddressNeeds(env: Env): OwnAddressNeeds {
  return {
    directory: env.DIRECTORY,
    returnPathKey: () => pathKeyOf(env),
    trackingKey: () => trackingKeyOf(env),
    mailDomain: env.MAIL_DOMAIN,
  };
}

function receiveNeeds(env: Env): ReceiveNeeds {
  return {
    async putObject(key, bytes) {
      await env.MAIL.put(key, bytes);
    },
    handOn(key) {
      const sent = env.RECEIVED.send({ v: 1, key });
      waitUntil(sent.catch((error) => log("received mail not handed on", { key, error: String(error) })));
    },
  };
}

export function emailRoutingNeeds(env: Env): EmailRoutingNeeds {
  return {
    ...ownAddressNeeds(env),
    ...receiveNeeds(env),
    now: Date.now,
    newId: () => crypto.randomUUID(),
  };
}

/** For what reads received mail, and for cron, which finds what was left. */
export function takeNeeds(env: Env): TakeNeeds & { handOnAll(keys: string[]): Promise<void> } {
  return {
    ...ownAddressNeeds(env),
    ...unsubscribeNeeds(env),
    newId: () => crypto.randomUUID(),
    reports: env.ARCHIVE,
    mail: env.MAIL,
    async putObject(key, bytes) {
      await env.MAIL.put(key, bytes);
    },
    deleteObjects: (keys) => deleteObjects(env.MAIL, keys),
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
    async sendProbeReport(report) {
      const policy = await loadPolicy(env.DIRECTORY, await systemServer(systemServerNeeds(env)));
      if (!policy) throw new Error("the deployment's own server is gone");
      await acceptReport(policy, report, acceptNeeds(env));
    },
    async takeInbound(taken) {
      // Judging who a message is from takes a library that nothing else wants: a start of the Worker does not wait for it.
      const { takeInbound } = await import("./receive/inbound/take.ts");
      await takeInbound(inboundNeeds(env), taken);
    },
    async handOnAll(keys) {
      for (let i = 0; i < keys.length; i += REFERENCES_PER_BATCH)
        await env.RECEIVED.sendBatch(
          keys.slice(i, i + REFERENCES_PER_BATCH).map((key) => ({ body: { v: 1, key } })),
        );
    },
  };
}

function inboundNeeds(env: Env): InboundNeeds {
  const password = env.SPAM_SCANNER_PASSWORD;
  return {
    log,
    directory: env.DIRECTORY,
    archive: () => env.ARCHIVE,
    mailDomain: env.MAIL_DOMAIN,
    dnsUrl: env.DNS_OVER_HTTPS,
    fetchDns: (url, init) => fetch(url, init),
    ...(env.SPAM_SCANNER && {
      scanner: {
        url: env.SPAM_SCANNER,
        ...(password && { password }),
        fetch: (url: string, init: RequestInit) => fetch(url, init),
      },
    }),
    async putObject(key, bytes) {
      await env.MAIL.put(key, bytes);
    },
    async putPieces(key, length, pieces) {
      const { readable, writable } = new FixedLengthStream(length);
      const feed = async () => {
        const writer = writable.getWriter();
        try {
          for (const piece of pieces) await writer.write(piece);
          await writer.close();
        } catch (error) {
          // Who reads is not to wait for the rest.
          await writer.abort(error);
          throw error;
        }
      };
      // When R2 refuses, what feeds it is refused too.
      await Promise.all([env.MAIL.put(key, readable), feed()]);
    },
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
  };
}

export function destinationNeeds(_env: Env): DestinationNeeds {
  return { now: Date.now, random: Math.random, log };
}

export function deliverNeeds(env: Env, ctx: ExecutionContext): DeliverNeeds {
  const now = Date.now;
  const smarthost = smarthostOf(env);
  return {
    now,
    log,
    newClaimer: () => crypto.randomUUID(),
    outbox: (shard) => outboxOf(env, shard),
    destination: (object) => destinationAt(env, object),
    async keys(serverId, fromDomain) {
      const policy = await policyCache(env).byServer(serverId, "local");
      return policy ? openKeys(policy, fromDomain, env.EDGEPOST_SECRET) : [];
    },
    ownFields: (of) => ownFields(env, of),
    copyFor: (message, place) => copyFor(env, message, place),
    readObject: (key, offset, length) => objectBytes(env.MAIL, key, { offset, length }),
    transports: {
      gateway: gatewayTransport({
        gateways: gatewaysOf(env),
        fetch: (url, init) => fetch(url, init),
        now,
        log,
        down: gatewaysDown,
      }),
      ...(smarthost ? { smarthost: smarthostTransport(smarthost, now) } : {}),
      cloudflare: cloudflareTransport({ binding: env.SEND_EMAIL, now, quota: cloudflareQuota }),
      sandbox: sandboxTransport(now),
    },
    handOverMs: Number(env.HAND_OVER_MS) || 0,
    waitUntil: (promise) => ctx.waitUntil(promise),
    poison: (job, reason) => log("job cannot be read", { job, reason }),
  };
}

function gatewaysOf(env: Env): Gateway[] {
  const gateways = JSON.parse(env.GATEWAYS || "[]") as { url: string }[];
  return gateways.map(({ url }) => ({ url, secret: env.GATEWAY_SECRET }));
}

function smarthostOf(env: Env): SmarthostConfig | undefined {
  if (!env.SMARTHOST) return undefined;
  const config = JSON.parse(env.SMARTHOST) as Omit<SmarthostConfig, "pass">;
  return { ...config, name: config.name || env.MAIL_DOMAIN, pass: env.SMARTHOST_PASSWORD ?? "" };
}

export function eraseNeeds(env: Env): EraseNeeds {
  return {
    directory: env.DIRECTORY,
    archive: () => env.ARCHIVE,
    mail: env.MAIL,
    now: Date.now,
    log,
    outbox: (shard) => outboxOf(env, shard),
    waitingMail: (serverId) => [bulkOf(env, serverId), scheduleOf(env, serverId)],
    events: (serverId) => eventsOf(env, serverId),
    seen: (serverId) => seenOf(env, serverId),
    hook: (name) => hookOf(env, name),
    sendSystemMessage: (message) => systemMessage(env, message),
  };
}
