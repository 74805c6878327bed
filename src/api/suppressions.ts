/** Whom a stream does not mail: looked at, added to and taken from through the API (§7 of the wire contract). */
import { type Context, Hono } from "hono";
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import { markActive } from "../archive/bounces.ts";
import { parseAddressList } from "../mail/address.ts";
import { type NewSuppression, reactivate, suppress } from "../suppress/list.ts";
import { listSuppressions, type SuppressionFilter } from "../suppress/search.ts";
import { apiError, errorResponse, okResponse, type Result, refused } from "./error.ts";
import { fieldsReader, parseJson, readBody, scalar } from "./json-body.ts";
import { apiPath } from "./path.ts";
import { dateRange, type RawQuery, readQuery } from "./query.ts";
import { announce, fromArchive, fromDirectory, type ReadNeeds, serverRoute } from "./read-needs.ts";
import { formatSecond } from "./time.ts";

const MAX_ENTRIES = 50;
/** 50 addresses and their keys are some KB. */
const MAX_BODY_BYTES = 1024 * 1024;
const REASONS = ["HardBounce", "SpamComplaint", "ManualSuppression"] as const;
const ORIGINS = ["Recipient", "Customer", "Admin"] as const;

const NO_STREAM = apiError(1226, "The message stream for the provided 'ID' was not found.");
const NO_AUTHORITY = "You do not have the required authority to change this suppression.";
const BAD_ADDRESS = "An invalid email address was provided.";

const readEntries = fieldsReader(
  z.object({ Suppressions: z.array(z.object({ EmailAddress: scalar.optional() })).optional() }),
);

export function suppressionRoutes(needs: ReadNeeds): Hono {
  const app = new Hono({ getPath: apiPath });
  const path = "/message-streams/:stream/suppressions";

  app.get(
    `${path}/dump`,
    streamRoute(needs, async (serverId, stream, c) => {
      const filter = suppressionFilter(readQuery(c.req.url));
      if ("error" in filter) return errorResponse(filter.error);
      const found = await fromDirectory(listSuppressions(needs.directory, serverId, stream, filter.ok));
      const rows = found.map(({ email, reason, origin, createdAt }) => ({
        EmailAddress: email,
        SuppressionReason: reason,
        Origin: origin,
        CreatedAt: formatSecond(createdAt),
      }));
      return okResponse({ Suppressions: rows });
    }),
  );
  app.post(
    path,
    streamRoute(needs, (serverId, stream, c) =>
      change(c, "Suppressed", (emails) => add(needs, serverId, stream, emails)),
    ),
  );
  app.post(
    `${path}/delete`,
    streamRoute(needs, (serverId, stream, c) =>
      change(c, "Deleted", (emails) => remove(needs, serverId, stream, emails)),
    ),
  );
  return app;
}

function streamRoute(
  needs: ReadNeeds,
  answer: (serverId: number, stream: string, c: Context) => Promise<Response>,
) {
  return serverRoute(needs, ({ serverId, streams }: ServerPolicy, c: Context) => {
    const stream = c.req.param("stream") ?? "";
    if (!streams.some((s) => s.id === stream)) return errorResponse(NO_STREAM);
    return answer(serverId, stream, c);
  });
}

/** `apply` says of the addresses which may not be changed; the answer has one status an entry, in the request's order. */
async function change(
  c: Context,
  status: "Suppressed" | "Deleted",
  apply: (emails: string[]) => Promise<ReadonlySet<string>>,
): Promise<Response> {
  const entries = await entriesOf(c.req.raw);
  if ("error" in entries) return errorResponse(entries.error);
  const read = entries.ok.map((given) => ({ given, email: bareAddress(given) }));
  const valid = new Set(read.flatMap(({ email }) => email ?? []));
  const refusedEmails = await apply([...valid]);
  const results = read.map(({ given, email }) => {
    const message = email === undefined ? BAD_ADDRESS : refusedEmails.has(email) ? NO_AUTHORITY : null;
    return { EmailAddress: given, Status: message ? "Failed" : status, Message: message };
  });
  return okResponse({ Suppressions: results });
}

async function entriesOf(request: Request): Promise<Result<string[]>> {
  const body = await readBody(request, MAX_BODY_BYTES);
  if ("error" in body) return body;
  const json = parseJson(body.ok);
  if ("error" in json) return json;
  const nothing = refused(1409, "The request must have a body with 'Suppressions'.");
  if (json.ok === undefined) return nothing;
  const fields = readEntries(json.ok);
  if ("error" in fields) return fields;
  const entries = fields.ok.Suppressions;
  if (!entries || entries.length === 0) return nothing;
  if (entries.length > MAX_ENTRIES)
    return refused(1410, `A request may have ${MAX_ENTRIES} suppressions at most.`);
  return { ok: entries.map((entry) => entry.EmailAddress ?? "") };
}

/** Lower case; undefined for what is not exactly one address and nothing else. */
function bareAddress(text: string): string | undefined {
  const list = parseAddressList(text);
  if ("error" in list || list.ok.length !== 1 || /[<>,]/.test(text)) return undefined;
  return list.ok[0]?.email.toLowerCase();
}

async function add(
  needs: ReadNeeds,
  serverId: number,
  stream: string,
  emails: string[],
): Promise<ReadonlySet<string>> {
  const now = needs.now();
  const complained = await fromDirectory(
    listSuppressions(needs.directory, serverId, stream, { emails, reason: "SpamComplaint" }),
  );
  const complaints = new Set(complained.map((s) => s.email));
  const rows = emails
    .filter((email) => !complaints.has(email))
    .map((email): NewSuppression => {
      return { serverId, stream, email, reason: "ManualSuppression", origin: "Customer", since: now };
    });
  const suppressed = await fromDirectory(suppress(needs.directory, rows, now));
  await announce(
    needs,
    serverId,
    suppressed.map(({ email }) => ({ stream, email, removed: false })),
  );
  return complaints;
}

async function remove(
  needs: ReadNeeds,
  serverId: number,
  stream: string,
  emails: string[],
): Promise<ReadonlySet<string>> {
  const now = needs.now();
  const results = await fromDirectory(
    Promise.all(
      emails.map(async (email) => ({
        email,
        result: await reactivate(needs.directory, serverId, stream, email, now),
      })),
    ),
  );
  const open = results.filter((r) => r.result !== "kept").map((r) => r.email);
  // Those that were absent as well: an earlier run may have ended before it told anybody.
  const changes = open.map((email) => ({ stream, email, removed: true }));
  await announce(needs, serverId, changes);
  await fromArchive(markActive(needs.archive(serverId), serverId, stream, open));
  return new Set(results.filter((r) => r.result === "kept").map((r) => r.email));
}

function suppressionFilter(query: RawQuery): Result<SuppressionFilter> {
  const { values } = query;
  const reason = oneOf(REASONS, values.get("suppressionreason"));
  if (reason === "invalid") return refused(1404, "Parameter 'SuppressionReason' is not a known reason.");
  const origin = oneOf(ORIGINS, values.get("origin"));
  if (origin === "invalid") return refused(1405, "Parameter 'Origin' is not a known origin.");
  const dates = dateRange(query, 1400);
  if ("error" in dates) return dates;
  const email = values.get("emailaddress");
  return { ok: { ...dates.ok, reason, origin, emails: email === undefined ? undefined : [email.trim()] } };
}

function oneOf<T extends string>(known: readonly T[], text: string | undefined): T | "invalid" | undefined {
  if (text === undefined) return undefined;
  return known.find((word) => word.toLowerCase() === text.toLowerCase()) ?? "invalid";
}
