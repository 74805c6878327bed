/** The world's HTTP: the inbox and its witness, records for the DNS, DNS over HTTPS and the webhook sink. contract/local.md has the routes. */
import { Hono } from "hono";
import * as z from "zod";
import { dnsOverHttps } from "./doh.ts";
import type { Inbox } from "./inbox.ts";
import { webhookSink } from "./sink.ts";
import { SETTABLE, type Zone } from "./zone.ts";

const DEFAULT_LIMIT = 100;
/** Of 25 KB each that is 250 MB of answer: enough for anybody. */
const MAX_LIMIT = 10_000;

const Query = z.object({
  to: z.string().optional(),
  from: z.string().optional(),
  subject: z.string().optional(),
  since: z.coerce.number().optional(),
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
});
const Values = z.union([z.string(), z.array(z.string()).max(100)]);
const Type = z.enum(SETTABLE);

export function worldHttp({ inbox, zone }: { inbox: Inbox; zone: Zone }): Hono {
  const app = new Hono();

  app.get("/inbox", async (c) => {
    const query = Query.safeParse(c.req.query());
    if (!query.success) return c.json({ error: z.prettifyError(query.error) }, 400);
    const messages = [];
    for (const entry of inbox.find(query.data)) {
      const { id, receivedAt, repliedAt, envelope, tls, helo } = entry;
      const raw = (await inbox.rawOf(entry)).toString();
      messages.push({ id, receivedAt, repliedAt, envelope, tls, helo, raw });
    }
    return c.json({ messages });
  });
  app.get("/inbox/count", (c) => c.json(inbox.count()));
  app.get("/inbox/witness", () => {
    const lines: string[] = [];
    for (const { id, messageId, envelope, receivedAt, repliedAt } of inbox.kept())
      lines.push(JSON.stringify({ id, messageId, to: envelope.to, receivedAt, repliedAt }));
    const body = lines.length > 0 ? `${lines.join("\n")}\n` : "";
    return new Response(body, { headers: { "Content-Type": "application/x-ndjson" } });
  });
  /** The bytes as they came: signatures are checked over them, and JSON would have made them UTF-8. */
  app.get("/inbox/:id/raw", async (c) => {
    const entry = inbox.get(c.req.param("id"));
    if (!entry) return c.notFound();
    return new Response(new Uint8Array(await inbox.rawOf(entry)), {
      headers: { "Content-Type": "message/rfc822" },
    });
  });
  app.delete("/inbox", async (c) => {
    await inbox.clear();
    return c.body(null, 204);
  });

  app.get("/dns", (c) => c.json(zone.all()));
  app.put("/dns/:name/:type", async (c) => {
    const type = Type.safeParse(c.req.param("type").toUpperCase());
    if (!type.success) return c.json({ error: `The type is one of ${SETTABLE.join(", ")}.` }, 400);
    const values = valuesOf(await c.req.text());
    const wrong = values
      ? zone.put(c.req.param("name"), type.data, values)
      : "Not a value, nor a list of them.";
    return wrong === undefined ? c.body(null, 204) : c.json({ error: wrong }, 400);
  });
  app.delete("/dns/:name/:type", (c) => {
    const type = Type.safeParse(c.req.param("type").toUpperCase());
    if (type.success) zone.put(c.req.param("name"), type.data, []);
    return c.body(null, 204);
  });

  app.route("/", dnsOverHttps(zone));
  app.route("/", webhookSink());
  return app;
}

/** The body is the value itself; a JSON array gives several. */
function valuesOf(body: string): string[] | undefined {
  if (!body.startsWith("[")) return body.trim() ? [body.trim()] : undefined;
  try {
    const values = Values.safeParse(JSON.parse(body));
    return values.success ? [values.data].flat() : undefined;
  } catch {
    // A value that begins with a bracket and is no JSON.
    return [body.trim()];
  }
}
