/**
 * Mail made from templates: `POST /email/withTemplate` and `POST /email/batchWithTemplates`. A message is any message (submission.ts)
 * whose subject and bodies the template makes; which template, and with what model, is all that is decided here.
 */
import * as z from "zod";
import type { SendableTemplate } from "../accounts/template-cache.ts";
import { MAX_TEMPLATES, type TemplateRef } from "../accounts/templates.ts";
import { type Budget, renderMessage } from "../template/message.ts";
import { LIMITS } from "../template/render.ts";
import { sizedBatch } from "./email.ts";
import type { Endpoint } from "./endpoint.ts";
import { type ApiError, apiError, type Result, refused } from "./error.ts";
import { fieldsReader, flag, whole } from "./json-body.ts";
import {
  type Draft,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  MAX_SINGLE_BYTES,
  MESSAGE_ERRORS,
  type SendNeeds,
  sendBatch,
  sendOne,
  sentBatch,
  sentMessage,
} from "./send.ts";
import { type Sender, sendEndpoint } from "./send-endpoint.ts";
import { settled } from "./settings-needs.ts";
import { type Content, messageFields, parseSubmission } from "./submission.ts";
import { readTemplateModel } from "./template-model.ts";

/**
 * For all messages of a request: a batch's bodies may be as long as a plain batch's, its rendering takes about two seconds at most,
 * and styles that have to be inlined message by message ten, of the 30 that a Worker has.
 */
const BATCH_LIMITS: Budget = { output: MAX_BATCH_BYTES, steps: 20 * LIMITS.steps, css: 300_000_000 };
/** Look-ups at once: a Worker has six connections. */
const LOOK_UPS = 6;
/** In one request: each of a server's templates by its number and by its alias. D1 answers 1,000 questions a request. */
const MAX_LOOK_UPS = 2 * MAX_TEMPLATES;

export interface TemplatedNeeds extends SendNeeds {
  /** undefined when the server has no such template; rejects when nobody can say. */
  template(serverId: number, ref: TemplateRef): Promise<SendableTemplate | undefined>;
}

const modelSchema = z
  .unknown()
  .optional()
  .meta({
    openapi: {
      description: "What the template's placeholders are filled from: an object, or one as a string of JSON.",
      oneOf: [{ type: "object", additionalProperties: true }, { type: "string" }],
    },
  });

export const templatedFields = messageFields.extend({
  TemplateId: whole.optional(),
  TemplateAlias: z.string().default(""),
  TemplateModel: modelSchema,
  InlineCss: flag.default(true),
});

type TemplatedFields = z.infer<typeof templatedFields>;

const readTemplatedFields = fieldsReader(templatedFields);
const readMessages = fieldsReader(z.object({ Messages: z.array(z.unknown()) }));

const TEMPLATE_ERRORS = {
  1101: "There is no such template",
  1120: "There is no `TemplateModel`",
  1122: "The `TemplateModel` is no object, has a reserved key, or does not fit the template",
  1123: "The message has a `Subject`, `HtmlBody` or `TextBody` of its own",
};

const description =
  "The template is named by `TemplateId` or `TemplateAlias`; the number wins. An edited template holds everywhere within ten seconds.";

export function templatedEndpoints(needs: TemplatedNeeds): Endpoint[] {
  return [
    sendEndpoint(
      {
        path: "/email/withTemplate",
        summary: "Sends one message made from a template",
        description,
        body: { schema: templatedFields, read: (value) => ({ ok: value }), maxBytes: MAX_SINGLE_BYTES },
        response: sentMessage,
        errors: { ...MESSAGE_ERRORS, ...TEMPLATE_ERRORS },
      },
      async (call) => {
        const [draft = refused(101, "No result.")] = await readDrafts([call.body], call.sender, needs);
        return sendOne(draft, call, needs);
      },
    ),
    sendEndpoint(
      {
        path: "/email/batchWithTemplates",
        summary: `Sends up to ${MAX_BATCH} messages made from templates`,
        description: `${description} The answer has an item for each message, in order, as that of \`/email/batch\`.`,
        body: {
          schema: z.object({ Messages: z.array(templatedFields).max(MAX_BATCH) }),
          read(value) {
            const list = readMessages(value);
            return "error" in list ? list : sizedBatch(list.ok.Messages);
          },
          maxBytes: MAX_BATCH_BYTES,
        },
        response: sentBatch,
        errors: { 410: `There are more than ${MAX_BATCH} messages` },
      },
      async (call) => sendBatch(await readDrafts(call.body, call.sender, needs), call, needs),
    ),
  ];
}

/** Template by template and not message by message, so that each is looked up once and few are in memory at a time. */
async function readDrafts(
  values: unknown[],
  sender: Sender,
  needs: Pick<TemplatedNeeds, "template">,
): Promise<Result<Draft>[]> {
  const messages = values.map(readTemplatedFields);
  const drafts: Result<Draft>[] = new Array(values.length);
  const budget = { ...BATCH_LIMITS };
  const uses = groupByTemplate(messages);
  for (const { places } of uses.splice(MAX_LOOK_UPS))
    for (const place of places)
      drafts[place] = refused(300, `A batch may name at most ${MAX_LOOK_UPS} different templates.`);
  for (let at = 0; at < uses.length; at += LOOK_UPS) {
    const found = uses.slice(at, at + LOOK_UPS).map(async ({ ref, places }) => {
      const template = sender && ref && (await settled(needs.template(sender.serverId, ref)));
      for (const place of places) {
        const fields = messages[place];
        if (!fields) continue;
        drafts[place] = "error" in fields ? fields : readDraft(fields.ok, { sender, ref, template, budget });
      }
    });
    await Promise.all(found);
  }
  return drafts;
}

interface Use {
  /** undefined for messages that name none, or cannot be read. */
  ref: TemplateRef | undefined;
  places: number[];
}

function groupByTemplate(messages: Result<TemplatedFields>[]): Use[] {
  const uses = new Map<string, Use>();
  for (const [place, message] of messages.entries()) {
    const ref = "ok" in message ? refOf(message.ok) : undefined;
    const key = JSON.stringify(ref ?? null);
    const use = uses.get(key) ?? { ref, places: [] };
    use.places.push(place);
    uses.set(key, use);
  }
  return [...uses.values()];
}

/** The number wins, but 0 is what some clients send for none. */
export function refOf({
  TemplateId,
  TemplateAlias,
}: Pick<TemplatedFields, "TemplateId" | "TemplateAlias">): TemplateRef | undefined {
  if (TemplateId) return { id: TemplateId };
  return TemplateAlias ? { alias: TemplateAlias } : undefined;
}

interface Choice {
  sender: Sender;
  ref: TemplateRef | undefined;
  template: SendableTemplate | undefined;
  budget: Budget;
}

function readDraft(fields: TemplatedFields, choice: Choice): Result<Draft> {
  const submission = parseSubmission(fields, choice.sender, () => renderContent(fields, choice));
  return "error" in submission ? submission : { ok: { to: fields.To, submission: submission.ok } };
}

function renderContent(
  fields: TemplatedFields,
  { sender, ref, template, budget }: Choice,
): Result<Content | undefined> {
  const mixed = (["Subject", "HtmlBody", "TextBody"] as const).find((name) => fields[name] !== "");
  if (mixed) return refused(1123, `The '${mixed}' field is not allowed in a message made from a template.`);
  const model = readTemplateModel(fields.TemplateModel);
  if ("error" in model) return model;
  if (!ref) return { error: NOT_FOUND_BY_ID };
  // The test token has no server, and so no templates: what can be checked has been.
  if (!sender) return { ok: undefined };
  if (!template) return { error: "id" in ref ? NOT_FOUND_BY_ID : NOT_FOUND_BY_ALIAS };
  if ("errors" in template) return refused(1122, "The template is not valid any more. Please edit it.");
  if (budget.steps <= 0 || budget.output <= 0 || budget.css < 0)
    return refused(300, "The messages of this batch are too much to render at once. Please send fewer.");
  const rendered = renderMessage(template.ok, model.ok, { inlineCss: fields.InlineCss, budget });
  if ("error" in rendered)
    return refused(1122, `The template cannot be rendered with this 'TemplateModel'. ${rendered.error}`);
  const { subject, htmlBody, textBody } = rendered.ok;
  return { ok: { Subject: subject, HtmlBody: htmlBody, TextBody: textBody } };
}

export const NOT_FOUND_BY_ID: ApiError = apiError(
  1101,
  "The 'TemplateId' associated with this request is not valid or was not found.",
);
export const NOT_FOUND_BY_ALIAS: ApiError = apiError(
  1101,
  "The Template's 'Alias' associated with this request is not valid or was not found.",
);
