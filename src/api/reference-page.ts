/** The OpenAPI document as one page of HTML without scripts: readable on a telephone, searchable with the browser's own search. */
import { html, raw } from "hono/html";
import type { JsonSchema, OpenApi, Operation, Parameter } from "./openapi.ts";

/** Schemas nest no deeper than this in the API; what would is cut off rather than endless. */
const MAX_DEPTH = 8;

type Html = ReturnType<typeof html>;

export function referencePage(document: OpenApi): Html {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const families = document.tags.map(({ name }) => {
    return { name, operations: operations.filter(({ operation }) => operation.tags[0] === name) };
  });
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Edgepost API</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <nav aria-label="Families">
          <h1>Edgepost API</h1>
          ${families.map(
            (family) =>
              html`<details open>
                <summary>${family.name}</summary>
                <ul>
                  ${family.operations.map(
                    ({ path, method, operation }) =>
                      html`<li><a href="#${operation.operationId}"><b class="${method}">${method}</b> ${path}</a></li>`,
                  )}
                </ul>
              </details>`,
          )}
        </nav>
        <main>
          <p>
            ${document.info.description.replaceAll("`", "")} The same as
            <a href="/openapi.json">an OpenAPI document</a>. Requests go to <code>${document.servers[0]?.url}</code>.
          </p>
          ${families.map(
            (family) =>
              html`<section>
                <h2>${family.name}</h2>
                ${family.operations.map(({ path, method, operation }) => article(path, method, operation))}
              </section>`,
          )}
        </main>
      </body>
    </html>`;
}

function article(path: string, method: string, operation: Operation): Html {
  const token =
    operation.security.flatMap((of) => Object.keys(of))[0] === "accountToken" ? "Account" : "Server";
  const scope = operation["x-token-scope"];
  const body = operation.requestBody?.content["application/json"]?.schema;
  const answer = operation.responses["200"]?.content["application/json"]?.schema;
  return html`<article id="${operation.operationId}">
    <h3><b class="${method}">${method}</b> <code>${path}</code></h3>
    <p>${operation.summary}.</p>
    ${operation.description ? html`<p>${operation.description}</p>` : ""}
    <p class="token">
      <code>X-Postmark-${token}-Token</code>${scope ? html`, of a token that may <b>${SCOPES[scope] ?? scope}</b>` : ""}
    </p>
    ${operation.parameters.length > 0 ? fieldTable("Parameters", operation.parameters.map(parameterRow)) : ""}
    ${body ? fieldTable("Body", schemaRows(body)) : ""}
    ${answer ? html`<details><summary>Answer</summary>${fieldTable("Fields", schemaRows(answer))}</details>` : ""}
    <details>
      <summary>Codes</summary>
      <table>
        ${Object.entries(operation["x-error-codes"]).map(
          ([code, when]) => html`<tr><td><code>${code}</code></td><td>${when}</td></tr>`,
        )}
      </table>
    </details>
  </article>`;
}

const SCOPES: Record<string, string> = { send: "send", read: "read", full: "do everything" };

interface Row {
  name: string;
  type: string;
  required: boolean;
  note: string;
}

function fieldTable(title: string, rows: Row[]): Html {
  return html`<table>
    <caption>${title}</caption>
    ${rows.map(
      ({ name, type, required, note }) =>
        html`<tr>
          <td><code>${name}</code>${required ? html` <em>required</em>` : ""}</td>
          <td>${type}</td>
          <td>${note}</td>
        </tr>`,
    )}
  </table>`;
}

function parameterRow({ name, required, schema, in: where }: Parameter): Row {
  return {
    name: where === "path" ? `{${name}}` : name,
    type: typeOf(schema),
    required,
    note: noteOf(schema),
  };
}

/** A row a field, with those of objects and of lists below their own: "Messages[].To". */
function schemaRows(schema: JsonSchema, prefix = "", depth = 0): Row[] {
  if (depth > MAX_DEPTH) return [];
  const variants = variantsOf(schema);
  if (variants.length > 1) return variants.flatMap((variant) => schemaRows(variant, prefix, depth + 1));
  if (schema.type === "array")
    return schemaRows((schema.items ?? {}) as JsonSchema, `${prefix}[]`, depth + 1);
  const properties = (schema.properties ?? {}) as Record<string, JsonSchema>;
  const required = (schema.required ?? []) as string[];
  return Object.entries(properties).flatMap(([key, of]) => {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    const row = { name, type: typeOf(of), required: required.includes(key), note: noteOf(of) };
    return [row, ...schemaRows(of, name, depth + 1)];
  });
}

function variantsOf(schema: JsonSchema): JsonSchema[] {
  const variants = (schema.anyOf ?? schema.oneOf ?? []) as JsonSchema[];
  return variants.filter((variant) => variant.type !== "null");
}

function typeOf(schema: JsonSchema): string {
  if (Array.isArray(schema.enum)) return schema.enum.map((word) => JSON.stringify(word)).join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const variants = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined;
  if (variants) return variants.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf((schema.items ?? {}) as JsonSchema)}`;
  return Array.isArray(schema.type) ? schema.type.join(" or ") : String(schema.type ?? "any");
}

function noteOf(schema: JsonSchema): string {
  const notes = [
    schema.description,
    "default" in schema && schema.default !== "" ? `Default ${JSON.stringify(schema.default)}.` : undefined,
    Array.isArray(schema.examples) ? `Such as ${schema.examples.join(" or ")}.` : undefined,
  ];
  return notes.filter((note) => typeof note === "string").join(" ");
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --blue: #2b6cb0; --green: #2f855a; --red: #c53030; --amber: #b7791f }
@media (prefers-color-scheme: dark) { :root { --blue: #63b3ed; --green: #68d391; --red: #fc8181; --amber: #f6ad55 } }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 22rem minmax(0, 1fr) }
nav { padding: 1rem; border-right: 1px solid var(--line); height: 100vh; overflow: auto; position: sticky; top: 0; font-size: .85rem }
nav h1 { font-size: 1.2rem; margin: 0 0 .5rem }
nav ul { list-style: none; margin: 0 0 .5rem; padding: 0 }
nav a { text-decoration: none; color: inherit; display: block; padding: .1rem .4rem; overflow-wrap: anywhere; border-radius: .2rem }
nav a:hover, nav a:focus { background: var(--soft) }
main { padding: 1rem 2rem 6rem; max-width: 64rem }
summary { cursor: pointer; font-weight: 600 }
article { border-top: 1px solid var(--line); padding: .5rem 0 1rem; scroll-margin-top: 1rem }
h3 { margin: .5rem 0; overflow-wrap: anywhere; font-size: 1.1rem }
b[class] { font: 600 .75rem ui-monospace, monospace; text-transform: uppercase }
.get { color: var(--blue) } .post { color: var(--green) } .delete { color: var(--red) } .put, .patch { color: var(--amber) }
code { font-family: ui-monospace, monospace; font-size: .9em }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .9rem }
caption { text-align: left; font-weight: 600; padding: .2rem 0 }
td { border-top: 1px solid var(--line); padding: .25rem .75rem .25rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { width: 32% }
em { color: var(--amber); font-size: .8rem; font-style: normal }
@media (max-width: 50rem) { body { display: block } nav { position: static; height: auto; border: 0 } main { padding: 1rem } }
`;
