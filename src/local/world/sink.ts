/** Where webhooks of tests and demonstrations go: `POST /sink/<name>` keeps what came, and answers as it was scripted to. */
import { setTimeout as wait } from "node:timers/promises";
import { Hono } from "hono";
import * as z from "zod";

const MAX_SINKS = 1_000;
/** Of one sink; the oldest go first. */
const MAX_REQUESTS = 10_000;
const MAX_DELAY_MS = 600_000;

const Script = z.object({
  status: z.int().min(200).max(599).default(200),
  delayMs: z.int().min(0).max(MAX_DELAY_MS).default(0),
  times: z.int().min(0).default(1),
});

interface Sink {
  requests: { at: number; headers: Record<string, string>; body: string }[];
  script: z.infer<typeof Script>;
}

export function webhookSink(): Hono {
  const sinks = new Map<string, Sink>();
  const sinkOf = (name: string): Sink => {
    const known = sinks.get(name);
    if (known) return known;
    const oldest = sinks.keys().next();
    if (sinks.size >= MAX_SINKS && !oldest.done) sinks.delete(oldest.value);
    const sink: Sink = { requests: [], script: Script.parse({ times: 0 }) };
    sinks.set(name, sink);
    return sink;
  };

  return new Hono()
    .post("/sink/:name", async (c) => {
      const sink = sinkOf(c.req.param("name"));
      sink.requests.push({ at: Date.now(), headers: c.req.header(), body: await c.req.text() });
      if (sink.requests.length > MAX_REQUESTS) sink.requests.shift();
      const { script } = sink;
      if (script.times <= 0) return c.body(null, 200);
      script.times--;
      if (script.delayMs > 0) await wait(script.delayMs);
      return new Response(null, { status: script.status });
    })
    .get("/sink/:name", (c) => c.json({ requests: sinks.get(c.req.param("name"))?.requests ?? [] }))
    .put("/sink/:name", async (c) => {
      const script = Script.safeParse(await c.req.json().catch(() => undefined));
      if (!script.success) return c.json({ error: z.prettifyError(script.error) }, 400);
      sinkOf(c.req.param("name")).script = script.data;
      return c.json(script.data);
    })
    .delete("/sink/:name", (c) => c.json({ removed: sinks.delete(c.req.param("name")) }));
}
