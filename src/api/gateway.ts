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
  Batch,
  BatchMessage,
  BatchResult,
  Envelope,
  IngressResult,
  Login,
  OwnDomains,
} from "../mail/ingress.ts";
import { MAX_BATCH_BYTES } from "../mail/ingress.ts";
import { parseMessageId } from "../mail/message-id.ts";
import type { Reply } from "../mail/reply.ts";
import { apiPath } from "./path.ts";
import { readSmtpSubmission } from "./smtp-submission.ts";

const MAX_ADDRESSES = 1_000;
const REFUSE_INACTIVE =
  "406 You tried to send to a recipient that has been marked as inactive. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.";
const NO_SERVER: Reply = { code: 550, enhanced: "5.7.1", text: "this server does not exist any more" };

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
const notify = z.array(z.enum(["NEVER", "SUCCESS", "FAILURE", "DELAY"]));
const batchShape = z.object({
  v: z.literal(1),
  key: z.uuid(),
  serverId: z.number().int().positive().optional(),
  messages: z
    .array(
      z.object({
        messageId: z.string(),
        envelope: z.object({
          reversePath: z.string().max(320),
          recipients: z
            .array(
              z.object({
                address: z.string().min(1).max(320),
                notify: notify.optional(),
                orcpt: z.string().max(500).optional(),
              }),
            )
            .min(1),
          ret: z.enum(["FULL", "HDRS"]).optional(),
          envid: z.string().max(100).optional(),
        }),
        session: z.string().max(100),
        remoteAddress: z.string().max(64),
        stream: z.string().max(100).optional(),
        length: z.number().int().nonnegative(),
      }),
    )
    .min(1),
}) satisfies z.ZodType<Batch>;

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
    const work: Promise<BatchResult>[] = [];
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
    const results = await Promise.all(work);
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

/** A batch that cannot be read is answered as one that was not accepted, so that those beside it are. */
async function takeFrame(header: unknown, body: Uint8Array, context: Context): Promise<BatchResult> {
  const batch = batchShape.safeParse(header);
  if (batch.success) return take(batch.data, body, context);
  context.needs.log("batch not understood", { issues: batch.error.issues.slice(0, 3) });
  return { key: String((header as { key?: unknown } | null)?.key ?? "") };
}

async function take(batch: Batch, body: Uint8Array, context: Context): Promise<BatchResult> {
  const { key } = batch;
  try {
    const parts = cut(batch, body);
    const results = await (batch.serverId === undefined
      ? takeInbound(batch, parts, context)
      : takeSubmissions(batch.serverId, { batch, parts }, context));
    return results ? { key, results } : { key };
  } catch (error) {
    // Nothing is known to be accepted: the gateway keeps the batch and comes again.
    context.needs.log("batch failed", { key, error: String(error) });
    return { key };
  }
}

function cut({ messages }: Batch, body: Uint8Array): Uint8Array[] {
  let at = 0;
  const parts = messages.map(({ length }) => {
    at += length;
    return body.subarray(at - length, at);
  });
  if (at !== body.length) throw new Error("the lengths do not add up");
  return parts;
}

async function takeInbound(
  { key, messages }: Batch,
  parts: Uint8Array[],
  { needs }: Context,
): Promise<IngressResult[]> {
  await Promise.all(
    messages.map((message, i) => needs.receive(`${key}-${i}`, message, parts[i] ?? new Uint8Array(0))),
  );
  return messages.map(() => ({ accepted: true }));
}

async function takeSubmissions(
  serverId: number,
  { batch, parts }: { batch: Batch; parts: Uint8Array[] },
  { request, needs }: Context,
): Promise<IngressResult[] | undefined> {
  const policy = await needs.policy(serverId, request);
  if (!policy) return batch.messages.map(() => ({ accepted: false, reply: NO_SERVER }));
  const messages = await Promise.all(
    batch.messages.map((message, i) =>
      toClientMessage(message, parts[i] ?? new Uint8Array(0), policy, needs),
    ),
  );
  const { key } = batch;
  const isAccepted = await needs.acceptBatch(policy, { key, refuseInactive: REFUSE_INACTIVE, messages });
  return isAccepted ? messages.map(() => ({ accepted: true })) : undefined;
}

async function toClientMessage(
  message: BatchMessage,
  bytes: Uint8Array,
  policy: ServerPolicy,
  needs: GatewayNeeds,
): Promise<ClientMessage> {
  const { messageId } = message;
  const submission = await readSmtpSubmission(bytes, message, policy);
  const acceptedAt = parseMessageId(messageId)?.acceptedAt ?? needs.now();
  const edited = editClientHeader(bytes, {
    keepMessageId: submission.keepMessageId,
    messageId: `<${messageId}@${needs.mailDomain}>`,
    id: messageId,
    acceptedAt,
  });
  const dsn = dsnWish(message.envelope);
  return { ...submission, messageId, bytes: edited, ...(dsn ? { dsn } : {}) };
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
