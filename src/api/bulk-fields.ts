/**
 * The fields of a bulk request: those that its messages share, and each message's own. The rules are those of any message
 * (submission.ts); here they are asked for each field by itself, because each problem is told at its field's path.
 */
import type * as z from "zod";
import type { BulkMessage, BulkShared } from "../accept/bulk-message.ts";
import type { ServerPolicy } from "../accounts/policy.ts";
import type { TemplateRef } from "../accounts/templates.ts";
import { compileMessage, type MessageSource, type Part } from "../template/message.ts";
import type { BulkProblems } from "./bulk-problems.ts";
import { type ApiError, apiError, type Result } from "./error.ts";
import { fieldsOf } from "./json-body.ts";
import {
  checkSender,
  checkStream,
  type MessageFields,
  messageFields,
  parseSubmission,
} from "./submission.ts";
import { readTemplateModel } from "./template-model.ts";
import { refOf, templatedFields } from "./templated.ts";

export const BULK_STREAM = "broadcast";

export const ownFields = templatedFields.pick({
  To: true,
  Cc: true,
  Bcc: true,
  TemplateModel: true,
  Metadata: true,
  Headers: true,
});
export const sharedFields = templatedFields.omit({ To: true, Cc: true, Bcc: true, TemplateModel: true });

const readOwnFields = fieldsOf(ownFields);
const readSharedFields = fieldsOf(sharedFields);

const NO_STREAM = apiError(1226, "The message stream for the provided 'ID' was not found.");
const PART_FIELDS: Record<Part, "Subject" | "HtmlBody" | "TextBody"> = {
  subject: "Subject",
  htmlBody: "HtmlBody",
  textBody: "TextBody",
};

/** A message that is right: a field is judged by what is said of this one with it. */
const RIGHT: MessageFields = {
  ...messageFields.parse({}),
  From: "someone@example.com",
  To: "someone@example.com",
  TextBody: "text",
};
const OWN = ["To", "Cc", "Bcc", "Headers", "Metadata"] as const;
const SHARED = [
  "From",
  "ReplyTo",
  "Subject",
  "HtmlBody",
  "TextBody",
  "Tag",
  "Headers",
  "Metadata",
  "Attachments",
] as const;

/** One of the messages; undefined when something is wrong with it. `path` is its own: "Messages[3]". */
export function readOwn(value: unknown, path: string, problems: BulkProblems): BulkMessage | undefined {
  const fields = readOwnFields(value);
  if ("wrong" in fields) {
    if (fields.wrong.length > 0) problems.wrongFields(`${path}.`, fields.wrong);
    else problems.wrongFields("", [path]);
    return undefined;
  }
  const { TemplateModel, ...own } = fields.ok;
  const read = parseSubmission({ ...RIGHT, ...own }, undefined);
  if ("error" in read) {
    const given = OWN.filter((name) => name !== "To" || own.To !== "" || (own.Cc === "" && own.Bcc === ""));
    blame(own, given, { path: `${path}.`, whole: path, error: read.error }, problems);
  }
  const model = TemplateModel === undefined ? undefined : readTemplateModel(TemplateModel);
  if (model && "error" in model) problems.add(`${path}.TemplateModel`, model.error);
  if ("error" in read || (model && "error" in model)) return undefined;
  const { to, cc, bcc, headers, metadata } = read.ok;
  return {
    to,
    ...(cc.length > 0 && { cc }),
    ...(bcc.length > 0 && { bcc }),
    ...(model && Object.keys(model.ok).length > 0 && { model: model.ok }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(headers.length > 0 && { headers }),
  };
}

type FindTemplate = (ref: TemplateRef) => Promise<Result<MessageSource>>;

/** What the messages share; undefined when something is wrong with it. Without a policy (the test token) any sender and stream will do. */
export async function readShared(
  members: Record<string, unknown>,
  { policy, find }: { policy: ServerPolicy | undefined; find: FindTemplate },
  problems: BulkProblems,
): Promise<BulkShared | undefined> {
  const before = problems.count;
  const fields = readSharedFields(members);
  if ("wrong" in fields) {
    problems.wrongFields("", fields.wrong);
    return undefined;
  }
  const { TemplateId, TemplateAlias, InlineCss: inlineCss, ...shared } = fields.ok;
  // It would go at once, to everybody: a request that asks for another time is not to be misunderstood.
  if (shared.SendAt !== "") problems.wrongFields("", ["SendAt"]);
  const MessageStream = shared.MessageStream || BULK_STREAM;
  const isStream = checkBulkStream(MessageStream, policy, problems);
  const ref = refOf({ TemplateId, TemplateAlias });
  const source = await readSource(
    shared,
    { ref, field: TemplateId ? "TemplateId" : "TemplateAlias", find },
    problems,
  );
  const content = ref ? { Subject: "", HtmlBody: "", TextBody: "text" } : {};
  const whole = { ...RIGHT, ...shared, MessageStream, To: RIGHT.To, ...content };
  const read = parseSubmission(whole, isStream ? policy : undefined);
  if ("error" in read) {
    const names = ref ? SHARED.filter((name) => !(name in content)) : SHARED;
    const from = policy && ((f: MessageFields) => checkFrom(f, policy));
    blame(shared, names, { path: "", whole: "TextBody", error: read.error, from }, problems);
  }
  if ("error" in read || !source || problems.count > before) return undefined;
  const { to: _to, cc: _cc, bcc: _bcc, subject: _s, htmlBody: _h, textBody: _t, ...submission } = read.ok;
  return { submission, source, inlineCss };
}

function checkBulkStream(id: string, policy: ServerPolicy | undefined, problems: BulkProblems): boolean {
  const refusal = policy && checkStream(id, policy);
  if (!refusal) return true;
  // Elsewhere an unknown one is 1235, which is for single messages.
  problems.add("MessageStream", refusal.error.code === 1235 ? NO_STREAM : refusal.error);
  return false;
}

/** Says of each field what is wrong with it alone; when nothing is, what is wrong with all of them together. */
function blame<N extends keyof MessageFields>(
  fields: Pick<MessageFields, N>,
  names: readonly N[],
  about: {
    path: string;
    whole: string;
    error: ApiError;
    from?: ((fields: MessageFields) => ApiError | undefined) | undefined;
  },
  problems: BulkProblems,
): void {
  const before = problems.count;
  for (const name of names) {
    const isRecipients = name === "Cc" || name === "Bcc";
    if (isRecipients && fields[name] === "") continue;
    // So that a list of fifty is not one too many.
    const alone = { ...RIGHT, ...(isRecipients && { To: "" }), [name]: fields[name] };
    if (name === "HtmlBody" || name === "TextBody")
      alone.TextBody = fields[name] === "" ? "text" : alone.TextBody;
    const read = parseSubmission(alone, undefined);
    if ("error" in read) problems.add(about.path + name, read.error);
    const unknown = name === "From" && "ok" in read ? about.from?.(alone) : undefined;
    if (unknown) problems.add(about.path + name, unknown);
  }
  if (problems.count === before) problems.add(about.whole, about.error);
}

function checkFrom(fields: MessageFields, policy: ServerPolicy): ApiError | undefined {
  const read = parseSubmission(fields, undefined);
  return "ok" in read ? checkSender(read.ok.from, policy)?.error : undefined;
}

/** The templates' sources: the request's own, or those of the template that it names. */
async function readSource(
  { Subject, HtmlBody, TextBody }: Pick<MessageFields, "Subject" | "HtmlBody" | "TextBody">,
  { ref, field, find }: { ref: TemplateRef | undefined; field: string; find: FindTemplate },
  problems: BulkProblems,
): Promise<MessageSource | undefined> {
  const own = { Subject, HtmlBody, TextBody };
  if (!ref) {
    const source = { subject: Subject, htmlBody: HtmlBody, textBody: TextBody };
    return compiles(source, problems) ? source : undefined;
  }
  for (const [name, text] of Object.entries(own))
    if (text !== "") {
      const why = `The '${name}' field is not allowed in a message made from a template.`;
      problems.add(name, apiError(1123, why));
    }
  const found = await find(ref);
  if ("ok" in found) return found.ok;
  problems.add(field, found.error);
  return undefined;
}

function compiles(source: MessageSource, problems: BulkProblems): boolean {
  const compiled = compileMessage(source);
  if ("ok" in compiled) return true;
  for (const { part, message, line, character } of compiled.errors) {
    const where = `${message} (line ${line}, character ${character})`;
    const name = PART_FIELDS[part];
    problems.add(name, apiError(1122, `The syntax of the '${name}' is not valid: ${where}.`));
  }
  return false;
}

export type SharedFields = z.infer<typeof sharedFields>;
