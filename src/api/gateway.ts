/**
 * The door for gateways (mail/ingress.ts): logins are judged, and mail that came by SMTP is accepted or received. It answers that a
 * message is accepted only when the gate for mail has it on disk.
 */
import { Hono } from "hono";
import * as z from "zod";
import type { ClientMessage } from "../accept/accept.ts";
import type { ServerPolicy } from "../accounts/policy.ts";
import { editClientHeader } from "../compose/client-header.ts";
import type { DsnWish } from "../mail/dsn.ts";
import { decodeFrames } from "../mail/frame.ts";
import type {
  AuthAnswer,
  BatchMessage,
  BatchResult,
  Envelope,
  IngressResult,
  Login,
  OwnDomains,
} from "../mail/ingress.ts";
import { MAX_BATCH_BYTES } from "../mail/ingress.ts";
import { parseMessageId } from "../mail/message-id.ts";
import { within } from "../mail/within.ts";
import {
  type BatchHead,
  batchShape,
  cut,
  type Part,
  type Refused,
  refusedResult,
  UNREADABLE,
} from "./gateway-batch.ts";
import { apiPath } from "./path.ts";
import { readSmtpSubmission } from "./smtp-submission.ts";

const MAX_ADDRESSES = 1_000;
/** So long a batch may keep the answers of those that came with it from their sessions, which a gateway lets wait for ten seconds. */
const SHARED_MS = 5_000;
const REFUSE_INACTIVE =
  "406 You tried to send to a recipient that has been marked as inactive. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.";

const NO_SERVER = refusedResult(550, "5.7.1", "this server does not exist any more");

export interface GatewayNeeds {
  now(): number;
  gatewaySecret: string;
  /** Right side of Message-IDs. */
  mailDomain: string;
  /** Throws when nobody can say now. */
  login(login: Login, request: Request): Promise<AuthAnswer>;
  ownDomains(): Promise<OwnDomains>;
  isOwnAddress(address: string): Promise<boolean>;
  /** undefined when there is no such server; throws when nobody can say now. */
  policy(serverId: number, request: Request): Promise<ServerPolicy | undefined>;
  /** Whether all of the batch is on disk; see accept/accept.ts. */
  acceptBatch(
    policy: ServerPolicy,
    batch: { key: string; refuseInactive: string; messages: ClientMessage[] },
  ): Promise<boolean>;
  /** Throws when the message is not stored. */
  receive(key: string, message: BatchMessage, bytes: Uint8Array): Promise<void>;
  log(event: string, fields: Record<string, unknown>): void;
}

const loginShape = z.object({
  user: z.string().max(255),
  password: z.string().max(255),
  remoteAddress: z.string().max(64),
});
const addressesShape = z.object({ addresses: z.array(z.string().max(320)).max(MAX_ADDRESSES) });

export function gatewayRoutes(needs: GatewayNeeds): Hono {
  const app = new Hono({ getPath: apiPath });
  // The value and not its promise, which would belong to the request that made it.
  let secretHash: ArrayBuffer | undefined;

  app.use("/gateway/*", async (c, next) => {
    const given = await sha256(c.req.header("authorization") ?? "");
    secretHash ??= await sha256(`Bearer ${needs.gatewaySecret}`);
    // Hashes have one length, so the comparison takes one time.
    if (!needs.gatewaySecret || !crypto.subtle.timingSafeEqual(given, secretHash))
      return c.text("the secret is wrong\n", 401);
    return next();
  });

  app.post("/gateway/authenticate", async (c) => {
    const login = loginShape.safeParse(await c.req.json());
    if (!login.success) return c.json({ refused: "authentication credentials invalid" });
    return c.json(await needs.login(login.data, c.req.raw));
  });

  app.get("/gateway/domains", async (c) => c.json(await needs.ownDomains()));

  app.post("/gateway/recipients", async (c) => {
    const asked = addressesShape.safeParse(await c.req.json());
    if (!asked.success) return c.text("malformed\n", 400);
    return c.json({ known: await Promise.all(asked.data.addresses.map((a) => needs.isOwnAddress(a))) });
  });

  app.post("/gateway/ingress", async (c) => {
    const request = c.req.raw;
    if (!request.body) return c.text("no frames\n", 400);
    const work: Asked[] = [];
    try {
      for await (const { header, body } of decodeFrames(
        await chunksOf(request, request.body),
        MAX_BATCH_BYTES,
      ))
        work.push(takeFrame(header, body, { request, needs }));
    } catch (error) {
      needs.log("ingress refused", { error: String(error).slice(0, 500), frames: work.length });
      // The frames before were whole, and may be accepted by now: they get their answers.
      if (work.length === 0) return c.text("malformed frames\n", 400);
    }
    const isShared = work.length > 1;
    const results = await Promise.all(work.map((asked) => (isShared ? inTime(asked, needs) : asked.result)));
    return c.body(results.map((result) => `${JSON.stringify(result)}\n`).join(""), 200, {
      "content-type": "application/x-ndjson",
    });
  });

  return app;
}

/** Joined by the platform where that is no more than what a batch may be: a chunk is 4 KB, and each costs a turn. */
async function chunksOf(request: Request, body: ReadableStream): Promise<AsyncIterable<Uint8Array>> {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (!(length <= 2 * MAX_BATCH_BYTES)) return body;
  const whole = new Uint8Array(await request.arrayBuffer());
  return (async function* () {
    yield whole;
  })();
}

interface Context {
  request: Request;
  needs: GatewayNeeds;
}

interface Asked {
  key: string;
  /** Never rejects. */
  result: Promise<BatchResult>;
}

/** One server's Outbox that does not answer is no reason not to answer for the others: its batch comes again, and then alone. */
function inTime({ key, result }: Asked, { log }: GatewayNeeds): Promise<BatchResult> {
  return within(SHARED_MS, result).catch((error: unknown) => {
    log("batch not answered for", { key, error: String(error) });
    return { key };
  });
}

/** A batch that cannot be read is answered as one that was not accepted, so that those beside it are. */
function takeFrame(header: unknown, body: Uint8Array, context: Context): Asked {
  const batch = batchShape.safeParse(header);
  if (batch.success) return { key: batch.data.key, result: take(batch.data, body, context) };
  context.needs.log("batch not understood", { issues: batch.error.issues.slice(0, 3) });
  const key = String((header as { key?: unknown } | null)?.key ?? "");
  return { key, result: Promise.resolve({ key }) };
}

async function take(batch: BatchHead, body: Uint8Array, context: Context): Promise<BatchResult> {
  const { key, serverId } = batch;
  try {
    const parts = cut(batch, body);
    const results = await (serverId === undefined
      ? receiveAll(parts, key, context)
      : takeSubmissions(parts, { key, serverId }, context));
    return results ? { key, results } : { key };
  } catch (error) {
    // Nothing is known to be accepted: the gateway keeps the batch and comes again.
    context.needs.log("batch failed", { key, error: String(error) });
    return { key };
  }
}

/** Mail for our own addresses. */
async function receiveAll(
  parts: (Part | Refused)[],
  key: string,
  { needs }: Context,
): Promise<IngressResult[]> {
  const take = async (part: Part | Refused, i: number): Promise<IngressResult> => {
    if ("reply" in part) return part;
    await needs.receive(`${key}-${i}`, part.message, part.bytes);
    return { accepted: true };
  };
  return Promise.all(parts.map(take));
}

async function takeSubmissions(
  parts: (Part | Refused)[],
  { key, serverId }: { key: string; serverId: number },
  { request, needs }: Context,
): Promise<IngressResult[] | undefined> {
  const policy = await needs.policy(serverId, request);
  if (!policy) return parts.map(() => NO_SERVER);
  const read = await Promise.all(
    parts.map((part) => ("reply" in part ? part : toClientMessage(part, policy, needs))),
  );
  const messages = read.filter((one): one is ClientMessage => !("reply" in one));
  const isAccepted =
    messages.length === 0 ||
    (await needs.acceptBatch(policy, { key, refuseInactive: REFUSE_INACTIVE, messages }));
  return isAccepted ? read.map((one) => ("reply" in one ? one : { accepted: true })) : undefined;
}

/** A fault of ours in reading it is that message's alone, and the same at every repeat. */
async function toClientMessage(
  { message, bytes }: Part,
  policy: ServerPolicy,
  needs: GatewayNeeds,
): Promise<ClientMessage | Refused> {
  const { messageId } = message;
  try {
    const submission = await readSmtpSubmission(bytes, message, policy);
    const edited = editClientHeader(bytes, {
      keepMessageId: submission.keepMessageId,
      messageId: `<${messageId}@${needs.mailDomain}>`,
      id: messageId,
      acceptedAt: parseMessageId(messageId)?.acceptedAt ?? needs.now(),
    });
    const dsn = dsnWish(message.envelope);
    return { ...submission, messageId, bytes: edited, ...(dsn ? { dsn } : {}) };
  } catch (error) {
    needs.log("submission not read", { messageId, error: String(error) });
    return UNREADABLE;
  }
}

/** Only what was asked for: without NOTIFY a sender is told by the API and by webhooks, as at Postmark, and not by mail. */
function dsnWish({ reversePath, recipients, ret, envid }: Envelope): DsnWish | undefined {
  const asked = recipients.filter(({ notify }) => notify && !notify.includes("NEVER"));
  if (asked.length === 0 || reversePath === "") return undefined;
  const wishes = asked.map(({ address, notify = [], orcpt }) => [
    address.toLowerCase(),
    { notify, ...(orcpt === undefined ? {} : { orcpt }) },
  ]);
  const recipientWishes = Object.fromEntries(wishes) as DsnWish["recipients"];
  return {
    reversePath,
    ret: ret ?? "HDRS",
    ...(envid === undefined ? {} : { envid }),
    recipients: recipientWishes,
  };
}

function sha256(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}
