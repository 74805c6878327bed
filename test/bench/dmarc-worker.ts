/** The real Worker, and a way to give many domains a year of reports at once: the rows that storing them one by one would leave. */
import type { Env } from "../../src/bindings.ts";
import worker from "../../src/worker.ts";

export * from "../../src/worker.ts";

export interface DmarcOrder {
  /** The first of them, and the one after the last. */
  from: number;
  to: number;
  lastDay: number;
}

const DAYS = 365;
/** Each sends a report a day. */
const ORGANIZATIONS = ["google.com", "Yahoo", "Outlook.com", "Mail.Ru"];
/** Own senders, forwarders, and forgers, which come from somewhere else each day. */
const SOURCES = 16;
const STEADY = 12;

const numbers = (count: number) =>
  `(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1}) SELECT i FROM n)`;

async function write(env: Env, { from, to, lastDay }: DmarcOrder): Promise<void> {
  const monitors = `(SELECT value AS id FROM json_each(?1))`;
  const ids = JSON.stringify(Array.from({ length: to - from }, (_, i) => from + i));
  await env.ARCHIVE.batch([
    env.ARCHIVE.prepare(
      `INSERT INTO dmarc_daily SELECT m.id, ?2 - d.i,
         CASE WHEN s.i < ${STEADY} THEN '198.51.100.' || s.i ELSE (d.i % 256) || '.' || s.i || '.' || (m.id % 256) || '.9' END,
         CASE WHEN s.i < 8 THEN 'd' || m.id || '.example' ELSE '' END, CASE WHEN s.i < 8 THEN 'pass' ELSE '' END,
         'bounces.d' || m.id || '.example', CASE WHEN s.i < 6 THEN 'pass' ELSE 'fail' END,
         s.i < 8, s.i < 6, CASE WHEN s.i < ${STEADY} THEN 'none' ELSE 'reject' END,
         CASE WHEN s.i BETWEEN 8 AND 11 THEN 'forwarded' ELSE '' END, 1 + (d.i * 7 + s.i) % 900
       FROM ${monitors} m, ${numbers(DAYS)} d, ${numbers(SOURCES)} s`,
    ).bind(ids, lastDay),
    env.ARCHIVE.prepare(
      `INSERT INTO reports (monitor_id, kind, organization, external_id, domain, begins_at, ends_at, received_at, claim, object, summary)
       SELECT m.id, 'aggregate', o.value, o.value || d.i, 'd' || m.id || '.example', (?2 - d.i) * 86400000,
         (?2 - d.i + 1) * 86400000 - 1, (?2 - d.i + 1) * 86400000, 'c', 'reports/' || m.id || '/' || o.value || d.i,
         json_object('email', 'noreply@' || o.value, 'extraContact', '', 'records', ${SOURCES}, 'total', 9000, 'policy',
           json_object('domain', 'd' || m.id || '.example', 'adkim', 'r', 'aspf', 'r', 'p', 'reject', 'sp', '', 'pct', '100'))
       FROM ${monitors} m, ${numbers(DAYS)} d, json_each(?3) o`,
    ).bind(ids, lastDay, JSON.stringify(ORGANIZATIONS)),
  ]);
}

export default {
  ...worker,
  async fetch(
    request: Request<unknown, IncomingRequestCfProperties>,
    env: Env,
    ctx: ExecutionContext,
  ): Promise<Response> {
    if (new URL(request.url).pathname !== "/bench/dmarc") return worker.fetch(request, env, ctx);
    await write(env, await request.json<DmarcOrder>());
    return new Response("written");
  },
};
