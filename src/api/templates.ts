/** Templates: listed, read, made, changed and deleted. How they are checked and pushed to other servers is in files of their own. */
import * as z from "zod";
import {
  createTemplate,
  deleteTemplate,
  editTemplate,
  findTemplate,
  listTemplates,
  MAX_TEMPLATES,
  type Template,
  type TemplateRef,
  type TemplateSummary,
  type WriteAnswer,
} from "../accounts/templates.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { type ApiError, type Result, refused, Unavailable } from "./error.ts";
import { pageParameters, textParameter, wordParameter } from "./query.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";
import {
  checkTemplate,
  createdFields,
  createFields,
  editedFields,
  editFields,
  NO_DATA,
  TEMPLATE_ERRORS,
  TEMPLATE_TYPES,
} from "./template-fields.ts";
import { NOT_FOUND_BY_ALIAS, NOT_FOUND_BY_ID } from "./templated.ts";

const family = "Templates";
const scope = "full";
/** Two who change one template at the same moment: more tries than that are a fault. */
const MAX_EDIT_TRIES = 3;
const NOT_FOUND_WHEN = { 1101: "There is no such template" };

export interface TemplateNeeds extends SettingsNeeds {
  /** What this isolate keeps of the server's templates is not to be used any more. */
  templatesChanged(serverId: number): void;
}

const shortForm = z.object({
  TemplateId: z.int(),
  Name: z.string(),
  Active: z.boolean(),
  Alias: z.string().nullable(),
  TemplateType: z.enum(TEMPLATE_TYPES),
  LayoutTemplate: z.string().nullable(),
});

const fullForm = shortForm.extend({
  Subject: z.string().nullable(),
  HtmlBody: z.string().nullable(),
  TextBody: z.string().nullable(),
  AssociatedServerId: z.int(),
});

export function templateEndpoints(needs: TemplateNeeds): Endpoint[] {
  return [...readEndpoints(needs), createEndpoint(needs), editEndpoint(needs), deleteEndpoint(needs)];
}

function readEndpoints(needs: TemplateNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path: "/templates",
        family,
        summary: "Lists the server's templates",
        scope,
        query: {
          schema: z.object({
            ...pageParameters,
            TemplateType: wordParameter(["Standard", "Layout", "All"]).default("All"),
            LayoutTemplate: textParameter.optional(),
          }),
          code: 1100,
        },
        response: z.object({ TotalCount: z.int(), Templates: z.array(shortForm) }),
        errors: { 1100: "A parameter is wrong" },
      },
      async ({ policy: { serverId }, query: { count, offset, TemplateType, LayoutTemplate } }) => {
        const type = TemplateType === "All" ? undefined : TemplateType;
        const found = await settled(
          listTemplates(needs.directory, serverId, { type, layout: LayoutTemplate }),
        );
        return {
          ok: { TotalCount: found.length, Templates: found.slice(offset, offset + count).map(shown) },
        };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: "/templates/:idOrAlias",
        family,
        summary: "One template, by its number or alias",
        description: "By its number a deleted one is found as well; it is not `Active`.",
        scope,
        response: fullForm,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy: { serverId }, params }) => {
        const found = await find(needs, serverId, params.idOrAlias);
        return "error" in found ? found : { ok: whole(found.ok) };
      },
    ),
  ];
}

function createEndpoint(needs: TemplateNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "POST",
      path: "/templates",
      family,
      summary: "Makes a template",
      description: "A layout that is made without an alias is given one. Only what compiles is taken.",
      scope,
      body: { schema: createFields, empty: NO_DATA, maxBytes: MAX_REQUEST_BYTES },
      response: shortForm,
      errors: { ...TEMPLATE_ERRORS, 1105: `The server has ${MAX_TEMPLATES} templates` },
    },
    async ({ policy: { serverId }, body }) => {
      const fields = createdFields(body);
      const unfit = checkTemplate(fields);
      if (unfit) return { error: unfit };
      if (fields.type === "Layout") fields.alias ??= `layout-${needs.newId().slice(0, 8)}`;
      const made = await settled(createTemplate(needs.directory, serverId, fields, needs.now()));
      return written(made, needs, serverId);
    },
  );
}

function editEndpoint(needs: TemplateNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "PUT",
      path: "/templates/:idOrAlias",
      family,
      summary: "Changes a template",
      description:
        "What is absent or null stays as it is; an empty `HtmlBody`, `TextBody` or `LayoutTemplate` takes it away. The type stays. Templates that use a layout follow when its alias is changed.",
      scope,
      body: { schema: editFields, empty: NO_DATA, maxBytes: MAX_REQUEST_BYTES },
      response: shortForm,
      errors: { ...NOT_FOUND_WHEN, ...TEMPLATE_ERRORS },
    },
    async ({ policy: { serverId }, params, body }) => {
      if (Object.values(body).every((value) => value === undefined)) return { error: NO_DATA };
      for (let tried = 0; tried < MAX_EDIT_TRIES; tried++) {
        const old = await find(needs, serverId, params.idOrAlias);
        if ("error" in old) return old;
        if (!old.ok.active) return { error: notFound(params.idOrAlias) };
        const fields = editedFields(body, old.ok);
        const unfit = checkTemplate(fields);
        if (unfit) return { error: unfit };
        const edited = await settled(editTemplate(needs.directory, old.ok, fields, needs.now()));
        if ("ok" in edited || edited.refused !== "changed meanwhile") return written(edited, needs, serverId);
      }
      throw new Unavailable("The template is being changed by others at the moment. Please try again.");
    },
  );
}

function deleteEndpoint(needs: TemplateNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "DELETE",
      path: "/templates/:idOrAlias",
      family,
      summary: "Deletes a template",
      scope,
      response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
      errors: { ...NOT_FOUND_WHEN, 1130: "Templates use this layout" },
    },
    async ({ policy: { serverId }, params }) => {
      const found = await find(needs, serverId, params.idOrAlias);
      if ("error" in found) return found;
      const { id } = found.ok;
      const outcome = await settled(deleteTemplate(needs.directory, serverId, id, needs.now()));
      if (outcome === "gone") return { error: notFound(params.idOrAlias) };
      if (outcome === "in use")
        return refused(1130, "This layout is used by templates. Give them another layout, or none, first.");
      needs.templatesChanged(serverId);
      return { ok: { ErrorCode: 0, Message: `Template ${id} removed.` } };
    },
  );
}

/** Bodies of 1,900,000 bytes, as JSON that may escape each character. */
const MAX_REQUEST_BYTES = 10 * 1024 * 1024;

/** An alias begins with a letter, so a number is no alias. */
function refOf(text = ""): TemplateRef {
  return /^\d{1,15}$/.test(text) ? { id: Number(text) } : { alias: text };
}

function notFound(idOrAlias: string | undefined): ApiError {
  return "id" in refOf(idOrAlias) ? NOT_FOUND_BY_ID : NOT_FOUND_BY_ALIAS;
}

async function find(
  { directory }: TemplateNeeds,
  serverId: number,
  idOrAlias: string | undefined,
): Promise<Result<Template>> {
  const found = await settled(findTemplate(directory, serverId, refOf(idOrAlias)));
  return found ? { ok: found } : { error: notFound(idOrAlias) };
}

function written(answer: WriteAnswer, needs: TemplateNeeds, serverId: number): Result<unknown> {
  if ("ok" in answer) {
    needs.templatesChanged(serverId);
    return { ok: shown(answer.ok) };
  }
  switch (answer.refused) {
    case "too many":
      return refused(1105, `A server may have at most ${MAX_TEMPLATES} templates.`);
    case "alias taken":
      return refused(1122, "Invalid 'Alias'. Another template of this server has it.");
    case "no such layout":
      return refused(1122, "Invalid 'LayoutTemplate'. This server has no layout with that alias.");
    case "gone":
    case "changed meanwhile":
      return { error: NOT_FOUND_BY_ID };
  }
}

function shown({ id, name, active, alias, type, layout }: TemplateSummary): z.infer<typeof shortForm> {
  return {
    TemplateId: id,
    Name: name,
    Active: active,
    Alias: alias,
    TemplateType: type,
    LayoutTemplate: layout,
  };
}

function whole(template: Template): z.infer<typeof fullForm> {
  return {
    ...shown(template),
    Subject: template.subject,
    HtmlBody: template.htmlBody,
    TextBody: template.textBody,
    AssociatedServerId: template.serverId,
  };
}
