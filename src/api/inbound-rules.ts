/** `/triggers/inboundrules` (§14 of the wire contract): whose mail is blocked when it comes in. */
import * as z from "zod";
import {
  createInboundRule,
  deleteInboundRule,
  type InboundRule,
  listInboundRules,
  parseRule,
} from "../accounts/inbound-rules.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, refused } from "./error.ts";
import { pageParameters } from "./query.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

const family = "Inbound rules";
const path = "/triggers/inboundrules";
const NOT_FOUND = apiError(812, "The inbound rule for the provided 'ID' was not found.");
const NO_RULE = apiError(809, "The request must have a body with a 'Rule'.");

const inboundRule = z.object({ ID: z.int(), Rule: z.string() });

export function inboundRuleEndpoints(needs: SettingsNeeds): Endpoint[] {
  const { directory } = needs;
  return [
    serverEndpoint(
      {
        method: "GET",
        path,
        family,
        summary: "Lists the senders whose mail is blocked",
        scope: "read",
        query: {
          schema: z.object({ ...pageParameters, cursor: cursorParameter(z.tuple([z.int()])).optional() }),
          code: 800,
        },
        response: z.object({
          TotalCount: z.int(),
          InboundRules: z.array(inboundRule),
          NextCursor: z.string().optional(),
        }),
        errors: { 800: "A parameter is not valid" },
      },
      async ({ policy, query: { count, offset, cursor } }) => {
        const page = { count, offset, after: cursor?.[0] };
        const { total, rules } = await settled(listInboundRules(directory, policy.serverId, page));
        const shownRules = rules.slice(0, count);
        const last = rules.length > count ? shownRules.at(-1) : undefined;
        return {
          ok: {
            TotalCount: total,
            InboundRules: shownRules.map(shown),
            ...(last && { NextCursor: formatCursor([last.id]) }),
          },
        };
      },
    ),
    serverEndpoint(
      {
        method: "POST",
        path,
        family,
        summary: "Blocks an address, or all addresses of a domain",
        scope: "full",
        body: { schema: z.object({ Rule: z.string().default("") }), empty: NO_RULE },
        response: inboundRule,
        errors: {
          809: "There is no body, or no `Rule` in it",
          810: "There is such a rule",
          813: "`Rule` is neither an address nor a domain",
        },
      },
      async ({ policy: { serverId }, body: { Rule } }) => {
        if (Rule.trim() === "") return { error: NO_RULE };
        const rule = parseRule(Rule);
        if (!rule) return refused(813, "Invalid 'Rule'. It must be a valid email address or domain.");
        const made = await settled(createInboundRule(directory, serverId, rule, needs.now()));
        return made ? { ok: shown(made) } : refused(810, `The rule '${rule}' exists already.`);
      },
    ),
    serverEndpoint(
      {
        method: "DELETE",
        path: `${path}/:id`,
        family,
        summary: "Removes a rule",
        scope: "full",
        response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
        errors: { 812: "There is no such rule" },
      },
      async ({ policy: { serverId }, params: { id = "" } }) => {
        if (!/^\d{1,15}$/.test(id)) return { error: NOT_FOUND };
        const gone = await settled(deleteInboundRule(directory, serverId, Number(id)));
        return gone === undefined
          ? { error: NOT_FOUND }
          : { ok: { ErrorCode: 0, Message: `Rule ${gone} removed.` } };
      },
    ),
  ];
}

function shown({ id, rule }: InboundRule) {
  return { ID: id, Rule: rule };
}
