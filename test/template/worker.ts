/** Runs in workerd for the test: compiles, renders, infers and inlines what it is given. */
import { inferModel } from "../../src/template/infer.ts";
import { inlineCss } from "../../src/template/inline-css.ts";
import { render } from "../../src/template/render.ts";
import { compile } from "../../src/template/template.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    const { source, model } = (await request.json()) as { source: string; model: unknown };
    const compiled = compile(source);
    if ("errors" in compiled) return Response.json(compiled);
    const rendered = render(compiled.ok, model, { escape: true });
    const html = "ok" in rendered ? inlineCss(rendered.ok) : rendered.error;
    return Response.json({ html, inferred: inferModel([compiled.ok]) });
  },
};
