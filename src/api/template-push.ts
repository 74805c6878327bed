/** `PUT /templates/push`: an account copies templates from one of its servers to another. */
import * as z from "zod";
import { findServer } from "../accounts/servers.ts";
import {
  type Push,
  type PushAnswer,
  type Pushed,
  planPush,
  pushTemplates,
} from "../accounts/template-push.ts";
import { MAX_TEMPLATES } from "../accounts/templates.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { type ApiError, apiError, type Result, refused } from "./error.ts";
import { flag, whole } from "./json-body.ts";
import { settled } from "./settings-needs.ts";
import { TEMPLATE_TYPES } from "./template-fields.ts";
import type { TemplateNeeds } from "./templates.ts";

export function templatePushEndpoints(needs: TemplateNeeds): Endpoint[] {
  return [
    accountEndpoint(
      {
        method: "PUT",
        path: "/templates/push",
        family: "Templates",
        summary: "Copies templates from one server to another",
        description:
          "Templates with an alias, matched by it: what the destination does not have is made, what differs is changed, layouts first, all or nothing. Without `PerformChanges` it only says what would be done.",
        body: {
          schema: z.object({
            SourceServerID: whole.optional(),
            DestinationServerID: whole.optional(),
            PerformChanges: flag.default(false),
          }),
        },
        response: z.object({
          TotalCount: z.int(),
          Templates: z.array(
            z.object({
              Action: z.enum(["Create", "Edit"]),
              TemplateId: z.int().nullable(),
              Alias: z.string(),
              Name: z.string(),
              TemplateType: z.enum(TEMPLATE_TYPES),
            }),
          ),
        }),
        errors: {
          601: "One of the servers, or both, were not found",
          1105: `The destination would have more than ${MAX_TEMPLATES} templates`,
          1124: "No template of the source has an alias",
          1125: "The same alias is a layout on one server and a template on the other",
        },
      },
      async ({ accountId, body: { SourceServerID, DestinationServerID, PerformChanges } }) => {
        const push: Push = { sourceId: SourceServerID ?? 0, destinationId: DestinationServerID ?? 0 };
        const missing = await missingServers(needs, accountId, push);
        if (missing) return { error: missing };
        if (!PerformChanges) return answerOf(await settled(planPush(needs.directory, push)));
        const pushed = await settled(pushTemplates(needs.directory, push, needs.now()));
        needs.templatesChanged(push.destinationId);
        return answerOf(pushed);
      },
    ),
  ];
}

async function missingServers(
  { directory }: TemplateNeeds,
  accountId: number,
  { sourceId, destinationId }: Push,
): Promise<ApiError | undefined> {
  const source = await settled(findServer(directory, sourceId, accountId));
  const destination = await settled(findServer(directory, destinationId, accountId));
  if (source && destination) return undefined;
  if (source) return apiError(601, "The destination server was not found.");
  if (destination) return apiError(601, "The source server was not found.");
  return apiError(601, "The source and destination servers were not found.");
}

function answerOf(answer: PushAnswer): Result<unknown> {
  if ("ok" in answer) return { ok: { TotalCount: answer.ok.length, Templates: answer.ok.map(shown) } };
  switch (answer.refused) {
    case "nothing to push":
      return refused(1124, "There is nothing to push: no template of the source server has an alias.");
    case "too many":
      return refused(1105, `The destination server may have at most ${MAX_TEMPLATES} templates.`);
    case "other type":
      return refused(1125, `The templates with the alias '${answer.alias}' are of different types.`);
  }
}

function shown({ action, id, alias, name, type }: Pushed) {
  return { Action: action, TemplateId: id, Alias: alias, Name: name, TemplateType: type };
}
