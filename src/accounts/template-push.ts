/**
 * Copies templates from one server to another of the same account, matched by alias. Compared and copied inside the database and in one
 * transaction: a hundred templates may be 200 MB, which no Worker could hold, and a push that stops half way would leave a template
 * whose layout has not come yet.
 */
import { MAX_TEMPLATES, type TemplateType } from "./templates.ts";

export interface Push {
  sourceId: number;
  destinationId: number;
}

export interface Pushed {
  action: "Create" | "Edit";
  /** At the destination; null for one that is still to be made. */
  id: number | null;
  alias: string;
  name: string;
  type: TemplateType;
}

export type PushAnswer =
  /** Layouts first; empty when the destination has all of it already. */
  | { ok: Pushed[] }
  | { refused: "nothing to push" | "too many" }
  /** The alias names a template there and a layout here, or the other way round. */
  | { refused: "other type"; alias: string };

// "IS NOT" because bodies and layouts may be NULL.
const CHANGED = `(d.name IS NOT s.name OR d.subject IS NOT s.subject OR d.layout IS NOT s.layout
  OR d.html_body IS NOT s.html_body OR d.text_body IS NOT s.text_body)`;

const PLAN = `
  SELECT s.alias, s.name, s.type, d.id, d.type AS there, ${CHANGED} AS changed
  FROM templates s LEFT JOIN templates d ON d.server_id = ?2 AND d.active = 1 AND d.alias = s.alias
  WHERE s.server_id = ?1 AND s.active = 1 AND s.alias IS NOT NULL
  ORDER BY s.type = 'Layout' DESC, s.id`;

// Whatever changed since the plan was read: never another type's template, and never a second one of an alias.
const EDIT = `
  UPDATE templates AS d SET name = s.name, subject = s.subject, html_body = s.html_body, text_body = s.text_body,
    layout = s.layout, updated_at = max(?3, d.updated_at + 1)
  FROM templates s
  WHERE s.server_id = ?1 AND s.active = 1 AND d.server_id = ?2 AND d.active = 1
    AND d.alias = s.alias AND d.type = s.type AND ${CHANGED}`;

const CREATE = `
  INSERT INTO templates (server_id, alias, name, type, subject, html_body, text_body, layout, active, created_at, updated_at)
  SELECT ?2, s.alias, s.name, s.type, s.subject, s.html_body, s.text_body, s.layout, 1, ?3, ?3
  FROM templates s
  WHERE s.server_id = ?1 AND s.active = 1 AND s.alias IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM templates d WHERE d.server_id = ?2 AND d.active = 1 AND d.alias = s.alias)
  ORDER BY s.type = 'Layout' DESC, s.id
  ON CONFLICT DO NOTHING RETURNING id, alias`;

interface Planned {
  alias: string;
  name: string;
  type: TemplateType;
  id: number | null;
  there: TemplateType | null;
  changed: number;
}

/** What a push would do now. */
export async function planPush(
  directory: D1Database,
  { sourceId, destinationId }: Push,
): Promise<PushAnswer> {
  const [plan, count] = await directory.batch([
    directory.prepare(PLAN).bind(sourceId, destinationId),
    directory
      .prepare("SELECT count(*) AS n FROM templates WHERE server_id = ? AND active = 1")
      .bind(destinationId),
  ]);
  const planned = (plan?.results ?? []) as Planned[];
  if (planned.length === 0) return { refused: "nothing to push" };
  const other = planned.find(({ type, there }) => there !== null && there !== type);
  if (other) return { refused: "other type", alias: other.alias };
  const pushed = planned.flatMap(({ alias, name, type, id, changed }): Pushed[] =>
    id === null || changed ? [{ action: id === null ? "Create" : "Edit", id, alias, name, type }] : [],
  );
  const there = (count?.results[0] as { n: number } | undefined)?.n ?? 0;
  const more = pushed.filter(({ action }) => action === "Create").length;
  return there + more > MAX_TEMPLATES ? { refused: "too many" } : { ok: pushed };
}

export async function pushTemplates(directory: D1Database, push: Push, now: number): Promise<PushAnswer> {
  const plan = await planPush(directory, push);
  if (!("ok" in plan) || plan.ok.length === 0) return plan;
  const bound = [push.sourceId, push.destinationId, now];
  const [, created] = await directory.batch<{ id: number; alias: string }>([
    directory.prepare(EDIT).bind(...bound),
    directory.prepare(CREATE).bind(...bound),
  ]);
  const ids = new Map(created?.results.map(({ id, alias }) => [alias, id]));
  return {
    ok: plan.ok.map((template) => ({ ...template, id: template.id ?? ids.get(template.alias) ?? null })),
  };
}
