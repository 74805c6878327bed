/**
 * Templates of a server as they are stored. What must hold between them (how many there are, one name for one, layouts that exist) is
 * part of the statement that writes, so that two writers at once cannot break it; what a template itself must be, the door checks.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { templates } from "../schema/directory.ts";

/** Of one server, and as many as Postmark has. */
export const MAX_TEMPLATES = 100;
/** Deleted templates can still be read by their number; of a server so many, the latest. */
const MAX_DELETED = 500;

export type Template = typeof templates.$inferSelect;
export type TemplateType = Template["type"];
/** Without its bodies, as lists have it. */
export type TemplateSummary = Pick<Template, "id" | "name" | "alias" | "type" | "layout" | "active">;
export type TemplateRef = { id: number } | { alias: string };

export interface TemplateFields {
  alias: string | null;
  name: string;
  type: TemplateType;
  subject: string | null;
  htmlBody: string | null;
  textBody: string | null;
  /** The alias of a layout. */
  layout: string | null;
}

export type WriteAnswer =
  | { ok: TemplateSummary }
  | { refused: "too many" | "alias taken" | "no such layout" | "gone" | "changed meanwhile" };

// The words of a partial index's condition: with a parameter in their place SQLite would not use it.
const isActive = sql`active = 1`;
const summary = {
  id: templates.id,
  name: templates.name,
  alias: templates.alias,
  type: templates.type,
  layout: templates.layout,
  active: templates.active,
};

/** All that are not deleted: there are no more than MAX_TEMPLATES. */
export async function listTemplates(
  directory: D1Database,
  serverId: number,
  only: { type?: TemplateType | undefined; layout?: string | undefined },
): Promise<TemplateSummary[]> {
  return drizzle(directory)
    .select(summary)
    .from(templates)
    .where(
      and(
        eq(templates.serverId, serverId),
        isActive,
        only.type && eq(templates.type, only.type),
        only.layout === undefined ? undefined : eq(templates.layout, only.layout),
      ),
    )
    .orderBy(asc(templates.id));
}

/** By its number also one that is deleted. */
export async function findTemplate(
  directory: D1Database,
  serverId: number,
  ref: TemplateRef,
): Promise<Template | undefined> {
  const which = "id" in ref ? eq(templates.id, ref.id) : and(eq(templates.alias, ref.alias), isActive);
  return drizzle(directory)
    .select()
    .from(templates)
    .where(and(eq(templates.serverId, serverId), which))
    .get();
}

const LAYOUT_EXISTS = (alias: string) =>
  `(${alias} IS NULL OR EXISTS (SELECT 1 FROM templates l
     WHERE l.server_id = ?1 AND l.active = 1 AND l.alias = ${alias} AND l.type = 'Layout'))`;

const CREATE = `
  INSERT INTO templates (server_id, alias, name, type, subject, html_body, text_body, layout, active, created_at, updated_at)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?9
  WHERE (SELECT count(*) FROM templates WHERE server_id = ?1 AND active = 1) < ${MAX_TEMPLATES}
    AND ${LAYOUT_EXISTS("?8")}
  ON CONFLICT DO NOTHING RETURNING id`;

export async function createTemplate(
  directory: D1Database,
  serverId: number,
  { alias, name, type, subject, htmlBody, textBody, layout }: TemplateFields,
  now: number,
): Promise<WriteAnswer> {
  const [made, there] = await directory.batch<Record<string, number>>([
    directory.prepare(CREATE).bind(serverId, alias, name, type, subject, htmlBody, textBody, layout, now),
    directory
      .prepare(
        "SELECT count(*) AS n, total(alias = ?2) AS taken FROM templates WHERE server_id = ?1 AND active = 1",
      )
      .bind(serverId, alias),
  ]);
  const id = made?.results[0]?.id;
  if (id !== undefined) return { ok: { id, name, alias, type, layout, active: true } };
  const { n = 0, taken } = there?.results[0] ?? {};
  if (n >= MAX_TEMPLATES) return { refused: "too many" };
  return { refused: taken ? "alias taken" : "no such layout" };
}

const EDIT = `
  UPDATE OR IGNORE templates
  SET alias = ?4, name = ?5, subject = ?6, html_body = ?7, text_body = ?8, layout = ?9, updated_at = ?10
  WHERE id = ?2 AND server_id = ?1 AND active = 1 AND updated_at = ?3 AND ${LAYOUT_EXISTS("?9")}
  RETURNING id`;

/** A layout's new alias is what the templates that use it are to have, too. */
const FOLLOW = `
  UPDATE templates SET layout = ?3 WHERE server_id = ?1 AND active = 1 AND layout = ?2
    AND EXISTS (SELECT 1 FROM templates WHERE id = ?4 AND updated_at = ?5 AND alias = ?3 AND type = 'Layout')`;

/** `template` as it was read; when another has changed it since, nothing is written. */
export async function editTemplate(
  directory: D1Database,
  template: Template,
  fields: Omit<TemplateFields, "type">,
  now: number,
): Promise<WriteAnswer> {
  const { id, serverId, type } = template;
  const { alias, name, subject, htmlBody, textBody, layout } = fields;
  // It is a version as well: it never stays the same.
  const version = Math.max(now, template.updatedAt + 1);
  const [edited, , there] = await directory.batch<Record<string, number>>([
    directory
      .prepare(EDIT)
      .bind(serverId, id, template.updatedAt, alias, name, subject, htmlBody, textBody, layout, version),
    directory.prepare(FOLLOW).bind(serverId, template.alias, alias, id, version),
    directory
      .prepare(
        `SELECT total(id = ?2) AS exist, total(id = ?2 AND updated_at = ?3) AS same, total(alias = ?4 AND id <> ?2) AS taken
         FROM templates WHERE server_id = ?1 AND active = 1`,
      )
      .bind(serverId, id, template.updatedAt, alias),
  ]);
  if (edited?.results.length) return { ok: { id, name, alias, type, layout, active: true } };
  const { exist, same, taken } = there?.results[0] ?? {};
  if (!exist) return { refused: "gone" };
  if (!same) return { refused: "changed meanwhile" };
  return { refused: taken ? "alias taken" : "no such layout" };
}

const DELETE = `
  UPDATE templates SET active = 0, updated_at = max(?3, updated_at + 1)
  WHERE id = ?2 AND server_id = ?1 AND active = 1
    AND NOT (type = 'Layout' AND EXISTS (
      SELECT 1 FROM templates u WHERE u.server_id = ?1 AND u.active = 1 AND u.layout = templates.alias))
  RETURNING id`;

const FORGET = `
  DELETE FROM templates WHERE server_id = ?1 AND active = 0 AND id NOT IN (
    SELECT id FROM templates WHERE server_id = ?1 AND active = 0 ORDER BY updated_at DESC LIMIT ${MAX_DELETED})`;

export async function deleteTemplate(
  directory: D1Database,
  serverId: number,
  id: number,
  now: number,
): Promise<"deleted" | "in use" | "gone"> {
  const [deleted, , there] = await directory.batch<Record<string, number>>([
    directory.prepare(DELETE).bind(serverId, id, now),
    directory.prepare(FORGET).bind(serverId),
    directory
      .prepare("SELECT count(*) AS n FROM templates WHERE id = ?2 AND server_id = ?1 AND active = 1")
      .bind(serverId, id),
  ]);
  if (deleted?.results.length) return "deleted";
  return there?.results[0]?.n ? "in use" : "gone";
}

/** What sending needs of a template, with its layout, in one transaction. */
export interface StoredTemplate {
  template: Template;
  layout: Template | undefined;
}

/** Only one that is active and can be sent: no layout. */
export async function loadTemplate(
  directory: D1Database,
  serverId: number,
  ref: TemplateRef,
): Promise<StoredTemplate | undefined> {
  const db = drizzle(directory);
  const which = "id" in ref ? sql`t.id = ${ref.id}` : sql`t.alias = ${ref.alias}`;
  const chosen = sql`t.server_id = ${serverId} AND t.active = 1 AND t.type = 'Standard' AND ${which}`;
  const alias = sql`(SELECT t.layout FROM templates t WHERE ${chosen})`;
  const [[template], [layout]] = await db.batch([
    db.select().from(templates).where(sql`${templates.id} = (SELECT t.id FROM templates t WHERE ${chosen})`),
    db
      .select()
      .from(templates)
      .where(
        and(
          eq(templates.serverId, serverId),
          isActive,
          eq(templates.type, "Layout"),
          sql`${templates.alias} = ${alias}`,
        ),
      ),
  ]);
  return template && { template, layout };
}
