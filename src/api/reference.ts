/** `/openapi.json` and `/docs`: the API as a document for programs and as a page for people. No token: it holds nothing of anybody's. */
import { Hono } from "hono";
import type { Endpoint } from "./endpoint.ts";
import { openApiDocument } from "./openapi.ts";
import { referencePage } from "./reference-page.ts";

/** It changes with a deployment only. */
const CACHE = "public, max-age=300";
/** Nothing on the page runs, and nothing comes from elsewhere. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

export function referenceRoutes(endpoints: Endpoint[], publicUrl: string): Hono {
  const app = new Hono();
  // Made when it is first asked for: an isolate that only sends mail does not pay for it.
  let made: { document: string; page: string } | undefined;
  const reference = () => {
    if (made) return made;
    const document = openApiDocument(endpoints, publicUrl);
    made = { document: JSON.stringify(document), page: String(referencePage(document)) };
    return made;
  };
  app.get("/openapi.json", (c) => {
    // Any page may read it: tools that render it run in a browser.
    const headers = { "Content-Type": "application/json; charset=utf-8", "Access-Control-Allow-Origin": "*" };
    return c.body(reference().document, 200, { ...headers, "Cache-Control": CACHE });
  });
  app.get("/docs", (c) =>
    c.html(reference().page, 200, { "Content-Security-Policy": POLICY, "Cache-Control": CACHE }),
  );
  return app;
}
