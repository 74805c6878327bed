/** The same in workerd as in Node, without Node's compatibility: the library that inlines CSS reads no file there. */
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inlineCss } from "../../src/template/inline-css.ts";

let workerd: Miniflare;

beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [new URL("worker.ts", import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
  });
  const contents = outputFiles[0]?.text ?? "";
  workerd = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents }],
    compatibilityDate: "2026-07-01",
  });
});
afterAll(() => workerd.dispose());

async function made(source: string, model: unknown): Promise<unknown> {
  const body = JSON.stringify({ source, model });
  return (await workerd.dispatchFetch("http://worker/", { method: "POST", body })).json();
}

describe("workerd", () => {
  it("renders a template and inlines its CSS", async () => {
    const style = "<style>.row{color:red}@media print{.row{color:black}}</style>";
    const source = `${style}{{#each rows}}<p class="row">{{name}}</p>{{/each}}`;
    const rendered = `${style}<p class="row">&lt;One&gt;</p><p class="row">True</p>`;
    expect(await made(source, { rows: [{ name: "<One>" }, { name: true }] })).toEqual({
      html: inlineCss(rendered),
      inferred: { rows: [{ name: "name_Value" }] },
    });
    expect(inlineCss(rendered)).toContain('style="color: red;"');
  });

  it("says where a template is wrong", async () => {
    expect(await made("\n{{a-b}}", {})).toMatchObject({ errors: [{ line: 2, character: 1 }] });
  });

  it("survives HTML that is nested deeper than its stack, and CSS that does not end", async () => {
    const deep = `<style>p{color:red}</style><p>x</p>${"<div>".repeat(20_000)}`;
    expect(await made(deep, {})).toMatchObject({ html: deep });
    const brackets = `<style>p${":not(".repeat(50_000)}{a:b}</style><p>x</p>`;
    expect(await made(brackets, {})).toMatchObject({ html: brackets });
    expect(await made("{{a}}", { a: 1 })).toMatchObject({ html: "1" });
  });
});
