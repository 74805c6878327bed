/**
 * Bulk mail: `POST /email/bulk` takes any number of messages with what they share, all or none, and they are released in the
 * background; how far that is can be asked, and what is not released can be cancelled, which is ours.
 */
import * as z from "zod";
import type { BulkPort, BulkStatus } from "../accept/bulk.ts";
import type { BulkShared } from "../accept/bulk-message.ts";
import type { ServerPolicy } from "../accounts/policy.ts";
import { loadTemplate, type TemplateRef } from "../accounts/templates.ts";
import type { Region } from "../mail/message-id.ts";
import type { MessageSource } from "../template/message.ts";
import { authenticateServer, serverToken } from "./authenticate.ts";
import { BULK_STREAM, ownFields, readShared, sharedFields } from "./bulk-fields.ts";
import { BulkIntake, MAX_BULK_BYTES, sha256, type TakenIn } from "./bulk-intake.ts";
import { BulkProblems } from "./bulk-problems.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type AnyDeclaration, type Endpoint, respond, serverEndpoint } from "./endpoint.ts";
import { apiError, errorResponse, type Result, Unavailable } from "./error.ts";
import { idempotencyKey } from "./idempotency.ts";
import { countParameter } from "./query.ts";
import { TEST_TOKEN } from "./send-endpoint.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";
import { NOT_FOUND_BY_ALIAS, NOT_FOUND_BY_ID } from "./templated.ts";
import { formatTime } from "./time.ts";

const family = "Bulk";
const path = "/email/bulk";

export interface BulkApiNeeds extends Pick<SettingsNeeds, "directory" | "now" | "newId" | "log"> {
  /** The bulk requests of that server. */
  bulk(serverId: number): BulkPort;
  /** Where the request came from: its messages are accepted near there. */
  region(request: Request): Region;
}

const STATES = { open: "Processing", completed: "Completed", cancelled: "Cancelled" } as const;

const status = z.object({
  Id: z.string(),
  SubmittedAt: z.string(),
  Status: z.enum(["Accepted", "Processing", "Completed", "Cancelled"]),
  TotalMessages: z.int(),
  PercentageCompleted: z.number(),
  ReleasedCount: z.int(),
  FailedCount: z.int(),
  Subject: z.string().optional(),
  Reason: z.string().optional().describe("Ours: why it waits, or was cancelled."),
});

const NOT_FOUND = apiError(12, "The bulk request for the provided 'Id' was not found.");
const NOT_FOUND_WHEN = { 12: "There is no such request" };

const submit: Omit<AnyDeclaration, "query"> = {
  method: "POST",
  path,
  family,
  summary: "Sends any number of messages that share their content, in the background",
  description: `The request may have ${MAX_BULK_BYTES / 1024 / 1024} MB, and is accepted as a whole or refused as a whole. \`Subject\`, \`HtmlBody\` and \`TextBody\` are templates, which each message's \`TemplateModel\` fills; a named template is used as it is at this moment. \`MessageStream\` is \`${BULK_STREAM}\` unless it is given. With an \`Idempotency-Key\` header the same request again gets the answer of the first.`,
  scope: "send",
  body: {
    schema: sharedFields.omit({ SendAt: true }).extend({ Messages: ownFields.array() }),
    maxBytes: MAX_BULK_BYTES,
  },
  response: status.extend({ ID: z.string() }),
  errors: {
    11: "There are several problems: `Errors` has them by the path of each field",
    300: "A field is invalid, or there are no messages",
    400: "`From` is neither a sender signature nor at a verified domain of the account",
    401: "The sender signature of `From` is not confirmed",
    411: "The type of an attachment is forbidden",
    1101: "There is no such template",
    1122: "A template or a `TemplateModel` is not valid",
    1123: "There is a template, and a `Subject`, `HtmlBody` or `TextBody` as well",
    1226: "There is no such message stream",
    1236: "The message stream cannot send: it is for inbound mail, or archived",
  },
};

export function bulkEndpoints(needs: BulkApiNeeds): Endpoint[] {
  return [
    {
      declaration: submit,
      token: "server",
      async handle(request, _params, authenticate) {
        // The test token is nobody's: what it sends is checked and dropped.
        if (serverToken(request).toUpperCase() === TEST_TOKEN) return take(request, undefined, needs);
        const caller = await authenticateServer(request, authenticate, "send");
        return "error" in caller ? errorResponse(caller.error) : take(request, caller.ok.policy, needs);
      },
    },
    serverEndpoint(
      {
        method: "GET",
        path,
        family,
        summary: "Lists bulk requests, the newest first",
        description: "`PaginationKey` is there when there are more: the same request with it gives those.",
        scope: "read",
        query: {
          schema: z.object({
            count: countParameter,
            paginationKey: cursorParameter(z.tuple([z.int()])).optional(),
          }),
          code: 13,
        },
        response: z.object({ Requests: z.array(status), PaginationKey: z.string().optional() }),
        errors: { 13: "A parameter is wrong" },
      },
      async ({ policy, query: { count, paginationKey } }) => {
        const [before] = paginationKey ?? [Number.MAX_SAFE_INTEGER];
        const found = await asked(needs.bulk(policy.serverId).list(before, count + 1));
        const page = found.slice(0, count);
        const last = found.length > count ? page.at(-1) : undefined;
        const more = last && { PaginationKey: formatCursor([last.seq]) };
        return { ok: { Requests: page.map(shown), ...more } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/:id`,
        family,
        summary: "Tells how far a bulk request is",
        scope: "read",
        response: status,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => answered(await asked(needs.bulk(policy.serverId).status(idOf(params)))),
    ),
    serverEndpoint(
      {
        method: "DELETE",
        path: `${path}/:id`,
        family,
        summary: "Cancels what is not released of a bulk request",
        description:
          "Ours. The answer tells how it stands: messages that were being released just then still are, and a request that is completed stays so.",
        scope: "send",
        response: status,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => answered(await asked(needs.bulk(policy.serverId).cancel(idOf(params)))),
    ),
  ];
}

async function take(
  request: Request,
  policy: ServerPolicy | undefined,
  needs: BulkApiNeeds,
): Promise<Response> {
  const key = idempotencyKey(request);
  if ("error" in key) return errorResponse(key.error);
  const id = needs.newId();
  const port = policy && needs.bulk(policy.serverId);
  const problems = new BulkProblems();
  const intake = new BulkIntake(port, id, problems);
  let isCommitted = false;
  try {
    const taken = await intake.read(request);
    if ("error" in taken) return errorResponse(taken.error);
    const find = (ref: TemplateRef) => findSource(ref, policy, needs);
    const shared = await readShared(taken.ok.members, { policy, find }, problems);
    if (shared) intake.merges.check(shared, problems);
    if (!shared || problems.count > 0) return problems.response();
    const stored = port
      ? await commit(port, { id, shared, taken: taken.ok, policy, key: key.ok, request }, needs)
      : dropped(id, shared, taken.ok, needs.now());
    if (stored instanceof Response) return stored;
    isCommitted = true;
    return respond({ ok: { ...shown(stored), ID: stored.id } });
  } finally {
    if (port && !isCommitted) await discard(port, id, needs);
  }
}

interface Accepting {
  id: string;
  shared: BulkShared;
  taken: TakenIn;
  policy: ServerPolicy;
  key: string | undefined;
  request: Request;
}

async function commit(
  port: BulkPort,
  { id, shared, taken: { members, total, parts, hashes }, policy, key, request }: Accepting,
  needs: BulkApiNeeds,
): Promise<BulkStatus | Response> {
  const encoder = new TextEncoder();
  const bytes = encoder.encode(JSON.stringify(shared));
  // As it was written: a template or a setting that was changed since makes no other request of it.
  const given = Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1));
  const givenHash = await sha256(encoder.encode(JSON.stringify(given)));
  const bodyHash = await sha256(encoder.encode([...hashes, givenHash].join()));
  const details = {
    subject: shared.source.subject ?? "",
    total,
    parts,
    serverId: policy.serverId,
    region: needs.region(request),
    ...(key !== undefined && { idempotency: { key, bodyHash } }),
  };
  const ask = () => port.commit(id, details, bytes);
  // Its answer may be lost with the connection: the second time it is the same answer.
  const reply = await asked(ask().catch(ask));
  if (reply.kind === "accepted") return reply.status;
  if (reply.kind === "conflict")
    return errorResponse(apiError(300, "The 'Idempotency-Key' was used for a different request.", 409));
  throw new Unavailable("The request could not be stored. Please try again.");
}

function dropped(id: string, { source }: BulkShared, { total }: TakenIn, at: number): BulkStatus {
  const subject = source.subject ?? "";
  return { seq: 0, id, state: "open", at, subject, total, released: 0, failed: 0, reason: "" };
}

async function discard(port: BulkPort, id: string, needs: BulkApiNeeds): Promise<void> {
  try {
    await port.discard(id);
  } catch (error) {
    // What nobody commits goes within the hour.
    needs.log("bulk request not discarded", { id, error: String(error) });
  }
}

async function findSource(
  ref: TemplateRef,
  policy: ServerPolicy | undefined,
  { directory }: BulkApiNeeds,
): Promise<Result<MessageSource>> {
  // The test token has no templates: what can be checked is.
  if (!policy) return { ok: { subject: "", htmlBody: null, textBody: null } };
  const found = await settled(loadTemplate(directory, policy.serverId, ref));
  if (!found) return { error: "id" in ref ? NOT_FOUND_BY_ID : NOT_FOUND_BY_ALIAS };
  const { subject, htmlBody, textBody } = found.template;
  const layout = found.layout && { htmlBody: found.layout.htmlBody, textBody: found.layout.textBody };
  return { ok: { subject, htmlBody, textBody, ...(layout && { layout }) } };
}

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("Bulk requests cannot be reached at the moment. Please try again.", { cause });
  }
}

function idOf({ id = "" }: Record<string, string>): string {
  return id.toLowerCase();
}

function answered(found: BulkStatus | undefined): Result<z.infer<typeof status>> {
  return found ? { ok: shown(found) } : { error: NOT_FOUND };
}

function shown({
  id,
  at,
  state,
  total,
  released,
  failed,
  subject,
  reason,
}: BulkStatus): z.infer<typeof status> {
  const done = released + failed;
  const begun = state === "open" && done === 0 ? "Accepted" : STATES[state];
  return {
    Id: id,
    SubmittedAt: formatTime(at),
    Status: begun,
    TotalMessages: total,
    // Two digits, and 100 only when all are done.
    PercentageCompleted: total === 0 ? 100 : Math.floor((done / total) * 10_000) / 100,
    ReleasedCount: released,
    FailedCount: failed,
    ...(subject && { Subject: subject }),
    ...(reason && { Reason: reason }),
  };
}
