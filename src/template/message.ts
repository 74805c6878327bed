/**
 * The templates of one message: subject, HTML and text, each with a layout around it or none. Compiled together, because they are
 * sent together, and rendered with one model.
 */
import { type CssBudget, inlineCss } from "./inline-css.ts";
import { composeLayout, inlineOnce } from "./inline-once.ts";
import { type Limits, type RenderOptions, render } from "./render.ts";
import { type Compiled, compile, type TemplateError } from "./template.ts";

export type Part = "subject" | "htmlBody" | "textBody";
export const PARTS: Part[] = ["subject", "htmlBody", "textBody"];

/** Sources; null for what is not there. */
export type MessageSource = Record<Part, string | null> & {
  layout?: { htmlBody: string | null; textBody: string | null } | undefined;
};

export interface CompiledMessage {
  parts: Partial<Record<Part, Compiled>>;
  layouts: { htmlBody?: Compiled; textBody?: Compiled };
  /** The HTML's sources; its layout's is undefined when it has none. */
  html: { source: string; layout: string | undefined };
  /** Made when it is first needed: the HTML with its layout and its styles inlined; "each" when that must be done after rendering. */
  styledHtml?: Compiled | "each";
  /** About how much memory it takes. */
  bytes: number;
}

export interface PartError extends TemplateError {
  part: Part;
}

/** What is left for all messages of a request. */
export type Budget = Limits & CssBudget;

export type Rendered = Record<Part, string>;

export function compileMessage({
  layout,
  ...source
}: MessageSource): { ok: CompiledMessage } | { errors: PartError[] } {
  const html = { source: source.htmlBody ?? "", layout: layout?.htmlBody ?? undefined };
  const message: CompiledMessage = { parts: {}, layouts: {}, html, bytes: 0 };
  const errors: PartError[] = [];
  const compiled = (part: Part, text: string | null | undefined, isLayout: boolean): Compiled | undefined => {
    if (!text) return undefined;
    const result = compile(text, { layout: isLayout });
    if ("errors" in result) {
      errors.push(...result.errors.map((error) => ({ part, ...error })));
      return undefined;
    }
    // What is made of the HTML to inline its styles takes as much again.
    message.bytes += part === "htmlBody" ? 2 * result.ok.bytes : result.ok.bytes;
    return result.ok;
  };
  for (const part of PARTS) {
    const own = compiled(part, source[part], false);
    if (own) message.parts[part] = own;
    // Around nothing there is no layout: a message without text does not get one.
    const around = own && part !== "subject" ? compiled(part, layout?.[part], true) : undefined;
    if (around && part !== "subject") message.layouts[part] = around;
  }
  return errors.length > 0 ? { errors } : { ok: message };
}

/** "" for a part that is not there. The error is a sentence for who sent the model. */
export function renderMessage(
  message: CompiledMessage,
  model: unknown,
  options: { inlineCss: boolean; budget?: Budget },
): { ok: Rendered } | { error: string } {
  const rendered: Rendered = { subject: "", htmlBody: "", textBody: "" };
  const { budget } = options;
  const { parts, layouts } = message;
  const styled = options.inlineCss ? styledHtml(message) : "each";
  for (const part of PARTS) {
    const isStyled = part === "htmlBody" && styled !== "each";
    const layout = part === "subject" || isStyled ? undefined : layouts[part];
    const result = renderPart(isStyled ? styled : parts[part], layout, model, {
      escape: part === "htmlBody",
      ...(budget ? { budget } : {}),
    });
    if ("error" in result) return { error: result.error };
    rendered[part] = result.ok;
  }
  if (options.inlineCss && styled === "each") rendered.htmlBody = inlineCss(rendered.htmlBody, budget);
  if (budget && budget.css < 0) return { error: "Inlining its styles takes too long in a batch." };
  return { ok: rendered };
}

function styledHtml(message: CompiledMessage): Compiled | "each" {
  message.styledHtml ??= compileStyled(message) ?? "each";
  return message.styledHtml;
}

function compileStyled({ layouts, html }: CompiledMessage): Compiled | undefined {
  // In a section of the layout the content would have another scope.
  const hasSlot = layouts.htmlBody?.nodes.some(({ kind }) => kind === "slot") ?? false;
  if (layouts.htmlBody && !hasSlot) return undefined;
  const whole =
    html.layout === undefined || !layouts.htmlBody ? html.source : composeLayout(html.layout, html.source);
  const inlined = whole === undefined ? undefined : inlineOnce(whole);
  const result = inlined === undefined ? undefined : compile(inlined);
  return result && "ok" in result ? result.ok : undefined;
}

/** With its layout around it; "" for a part that is not there. */
export function renderPart(
  part: Compiled | undefined,
  layout: Compiled | undefined,
  model: unknown,
  options: Pick<RenderOptions, "escape" | "budget">,
): { ok: string } | { error: string } {
  if (!part) return { ok: "" };
  const content = render(part, model, options);
  if ("error" in content || !layout) return content;
  // It is part of what the layout makes, and counted there.
  if (options.budget) options.budget.output += content.ok.length;
  return render(layout, model, { ...options, slots: { content: content.ok } });
}
