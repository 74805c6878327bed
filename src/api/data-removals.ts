/** `/data-removals` (§19 of the wire contract): all that is kept of a person goes, in the background, and this says when it is done. */
import * as z from "zod";
import { findRemoval, MAX_OPEN, requestRemoval } from "../erase/requests.ts";
import { parseAddressList, printable } from "../mail/address.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { apiError, refused } from "./error.ts";
import { flag } from "./json-body.ts";
import { pathNumber } from "./path.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export interface DataRemovalNeeds extends SettingsNeeds {
  /** Begins at once with what is to be removed, in the background; cron's sweep does what is left. */
  eraseSoon(): void;
}

const family = "Data removals";
const path = "/data-removals";
const MAX_REQUESTED_BY = 255;
const NOT_FOUND = apiError(1302, "The data removal request for the provided 'ID' was not found.");
const NO_BODY = apiError(1300, "The request must have a body with 'RequestedBy' and 'RequestedFor'.");

const removal = z.object({ ID: z.int(), Status: z.enum(["Pending", "Done"]) });

export function dataRemovalEndpoints(needs: DataRemovalNeeds): Endpoint[] {
  const { directory } = needs;
  return [
    accountEndpoint(
      {
        method: "POST",
        path,
        family,
        summary: "Removes what is kept of a person",
        description: `Of every server of the account, for what there is when it is asked for:

- mail that waits for the person is cancelled, and no bulk or scheduled message goes to them;
- messages to the person alone go whole; of those to others as well, the content (bodies, attachments, subject, metadata) goes for all,
  since it may name the person, while it stays known how the others were reached;
- what the person did (opens, clicks), their bounces, suppressions and inbound rules, and mail received from them go too;
- complaints and the person's own unsubscriptions stay: they are what keeps mail from them. So do statistics, which count without names.

A message to others as well that some of them still wait for goes when none does any more: until then it is pending.`,
        body: {
          schema: z.object({
            RequestedBy: z.string().default(""),
            RequestedFor: z.string().default(""),
            NotifyWhenCompleted: flag.default(false),
          }),
          empty: NO_BODY,
        },
        response: removal,
        errors: {
          1300: "There is no body, no `RequestedBy` in it, or `RequestedFor` is not an address",
          1301: `${MAX_OPEN} removals of the account are not done yet`,
        },
      },
      async ({ accountId, body: { RequestedBy, RequestedFor, NotifyWhenCompleted: notify } }) => {
        const requestedBy = RequestedBy.trim();
        if (requestedBy === "" || requestedBy.length > MAX_REQUESTED_BY)
          return refused(
            1300,
            `Invalid 'RequestedBy'. It is required, of ${MAX_REQUESTED_BY} characters at most.`,
          );
        const parsed = parseAddressList(RequestedFor);
        const [person, ...others] = "ok" in parsed ? parsed.ok : [];
        if (!person || others.length > 0)
          return refused(1300, `Invalid 'RequestedFor' address '${printable(RequestedFor)}'.`);
        const email = person.email.toLowerCase();
        const asked = { accountId, email, requestedBy, notify };
        const id = await settled(requestRemoval(directory, asked, needs.now()));
        if (id === undefined)
          return refused(
            1301,
            `An account may have at most ${MAX_OPEN} data removals that are not done yet.`,
          );
        needs.eraseSoon();
        return { ok: { ID: id, Status: "Pending" } };
      },
    ),
    accountEndpoint(
      {
        method: "GET",
        path: `${path}/:id`,
        family,
        summary: "Says whether a removal is done",
        response: removal,
        errors: { 1302: "The account asked for no such removal" },
      },
      async ({ accountId, params }) => {
        const id = pathNumber(params.id);
        const found = id === undefined ? undefined : await settled(findRemoval(directory, accountId, id));
        return found
          ? { ok: { ID: found.id, Status: found.isDone ? "Done" : "Pending" } }
          : { error: NOT_FOUND };
      },
    ),
  ];
}
