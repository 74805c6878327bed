/** Whom a stream does not mail: looked at, added to and taken from through the API (§7 of the wire contract). */
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import { markActive } from "../archive/bounces.ts";
import { parseAddressList } from "../mail/address.ts";
import { type NewSuppression, reactivate, suppress } from "../suppress/list.ts";
import { listSuppressions } from "../suppress/search.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, refused } from "./error.ts";
import { scalar } from "./json-body.ts";
import { fromDateParameter, textParameter, toDateParameter } from "./query.ts";
import { announce, fromArchive, fromDirectory, type ReadNeeds } from "./read-needs.ts";
import { isStream, NO_STREAM, NO_STREAM_WHEN } from "./streams.ts";
import { dumpResponse } from "./suppression-dump.ts";

const MAX_ENTRIES = 50;
const REASONS = ["HardBounce", "SpamComplaint", "ManualSuppression"] as const;
const ORIGINS = ["Recipient", "Customer", "Admin"] as const;

const NO_BODY = apiError(1409, "The request must have a body with 'Suppressions'.");
const NO_AUTHORITY = "You do not have the required authority to change this suppression.";
const BAD_ADDRESS = "An invalid email address was provided.";

const family = "Suppressions";
const path = "/message-streams/:stream/suppressions";

const entries = z.object({
  Suppressions: z.array(z.object({ EmailAddress: scalar.optional() })).optional(),
});
const statuses = z.object({
  Suppressions: z.array(
    z.object({
      EmailAddress: z.string(),
      Status: z.enum(["Suppressed", "Deleted", "Failed"]),
      Message: z.string().nullable(),
    }),
  ),
});
const CHANGE_ERRORS = {
  ...NO_STREAM_WHEN,
  1409: "There is no body, or nothing in it",
  1410: `There are more than ${MAX_ENTRIES} entries`,
};

export function suppressionEndpoints(needs: ReadNeeds): Endpoint[] {
  return [
    dumpEndpoint(needs),
    serverEndpoint(
      {
        method: "POST",
        path,
        family,
        summary: "Suppresses addresses: the stream does not mail them any more",
        scope: "full",
        body: { schema: entries, empty: NO_BODY },
        response: statuses,
        errors: CHANGE_ERRORS,
      },
      ({ policy, params, body }) => {
        const stream = params.stream ?? "";
        const apply = (emails: string[]) => add(needs, policy.serverId, stream, emails);
        return change(needs, { policy, stream, body, status: "Suppressed" }, apply);
      },
    ),
    serverEndpoint(
      {
        method: "POST",
        path: `${path}/delete`,
        family,
        summary: "Takes suppressions back, except for what the recipients said themselves",
        scope: "full",
        body: { schema: entries, empty: NO_BODY },
        response: statuses,
        errors: CHANGE_ERRORS,
      },
      ({ policy, params, body }) => {
        const stream = params.stream ?? "";
        const apply = (emails: string[]) => remove(needs, policy.serverId, stream, emails);
        return change(needs, { policy, stream, body, status: "Deleted" }, apply);
      },
    ),
  ];
}

function dumpEndpoint(needs: ReadNeeds): Endpoint {
  const word = (words: readonly string[]) => z.string().meta({ openapi: { type: "string", enum: words } });
  return serverEndpoint(
    {
      method: "GET",
      path: `${path}/dump`,
      family,
      summary: "Lists all suppressions of a stream, in the order of addresses",
      scope: "read",
      query: {
        schema: z.object({
          SuppressionReason: word(REASONS).optional(),
          Origin: word(ORIGINS).optional(),
          EmailAddress: textParameter.optional(),
          fromdate: fromDateParameter.optional(),
          todate: toDateParameter.optional(),
        }),
        code: 1400,
      },
      response: z.object({
        Suppressions: z.array(
          z.object({
            EmailAddress: z.string(),
            SuppressionReason: z.enum(REASONS),
            Origin: z.enum(ORIGINS),
            CreatedAt: z.string(),
          }),
        ),
      }),
      errors: {
        ...NO_STREAM_WHEN,
        1400: "A date is not valid",
        1404: "`SuppressionReason` is none that there is",
        1405: "`Origin` is none that there is",
      },
    },
    async ({ policy, params, query }) => {
      const stream = params.stream ?? "";
      if (!(await isStream(needs.directory, policy, stream))) return { error: NO_STREAM };
      const reason = oneOf(REASONS, query.SuppressionReason);
      if (reason === "invalid") return refused(1404, "Parameter 'SuppressionReason' is not a known reason.");
      const origin = oneOf(ORIGINS, query.Origin);
      if (origin === "invalid") return refused(1405, "Parameter 'Origin' is not a known origin.");
      const { EmailAddress: email, fromdate: from, todate: to } = query;
      const filter = { reason, origin, emails: email === undefined ? undefined : [email.trim()], from, to };
      return dumpResponse((after, limit) =>
        fromDirectory(
          listSuppressions(needs.directory, { serverId: policy.serverId, stream }, filter, { after, limit }),
        ),
      );
    },
  );
}

interface Change {
  policy: ServerPolicy;
  stream: string;
  body: z.infer<typeof entries>;
  status: "Suppressed" | "Deleted";
}

/** `apply` says of the addresses which may not be changed; the answer has one status an entry, in the request's order. */
async function change(
  needs: ReadNeeds,
  { policy, stream, body, status }: Change,
  apply: (emails: string[]) => Promise<ReadonlySet<string>>,
): Promise<Result<z.infer<typeof statuses>>> {
  if (!(await isStream(needs.directory, policy, stream))) return { error: NO_STREAM };
  const given = body.Suppressions ?? [];
  if (given.length === 0) return { error: NO_BODY };
  if (given.length > MAX_ENTRIES)
    return refused(1410, `A request may have ${MAX_ENTRIES} suppressions at most.`);
  const read = given.map(({ EmailAddress = "" }) => ({
    given: EmailAddress,
    email: bareAddress(EmailAddress),
  }));
  const valid = new Set(read.flatMap(({ email }) => email ?? []));
  const refusedEmails = await apply([...valid]);
  const results = read.map(({ given, email }) => {
    const message = email === undefined ? BAD_ADDRESS : refusedEmails.has(email) ? NO_AUTHORITY : null;
    return { EmailAddress: given, Status: message ? ("Failed" as const) : status, Message: message };
  });
  return { ok: { Suppressions: results } };
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
    listSuppressions(
      needs.directory,
      { serverId, stream },
      { emails, reason: "SpamComplaint" },
      { limit: MAX_ENTRIES },
    ),
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

function oneOf<T extends string>(known: readonly T[], text: string | undefined): T | "invalid" | undefined {
  if (text === undefined) return undefined;
  return known.find((word) => word.toLowerCase() === text.toLowerCase()) ?? "invalid";
}
