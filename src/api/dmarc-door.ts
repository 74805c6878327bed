/**
 * How the DMARC API speaks, which differs from the rest: snake_case, a token of its own in `X-Api-Token`, statuses that say what
 * happened, and `{"message": "…"}` for what did not.
 */
import type { Context } from "hono";
import type * as z from "zod";
import { type Monitor, monitorOfToken, reportsAddress } from "../accounts/report-monitors.ts";
import type { SystemMessage } from "../accounts/system-message.ts";
import { parseJson, readBody } from "./json-body.ts";
import type { SettingsNeeds } from "./settings-needs.ts";

export interface DmarcNeeds extends SettingsNeeds {
  /** Of the archive databases, the one that keeps reports. */
  reports: D1Database;
  object(key: string): Promise<Uint8Array | undefined>;
  deleteObjects(keys: string[]): Promise<void>;
  sendSystemMessage(message: SystemMessage): Promise<"accepted" | "inactive">;
}

/** A name and an address. */
const MAX_BODY_BYTES = 16 * 1024;

export function told(status: number, message: string): Response {
  return Response.json({ message }, { status, headers: { "Cache-Control": "no-store" } });
}

export function shown(body: unknown): Response {
  return Response.json(body, { headers: { "Cache-Control": "no-store" } });
}

/** Answers for the record whose token the request has; 401 when there is none. */
export function withRecord(
  needs: DmarcNeeds,
  answer: (monitor: Monitor, c: Context) => Promise<Response>,
): (c: Context) => Promise<Response> {
  return async (c) => {
    const token = c.req.header("X-Api-Token")?.trim();
    const monitor = token ? await monitorOfToken(needs.directory, token) : undefined;
    return monitor ? answer(monitor, c) : told(401, "The API token is missing or not valid.");
  };
}

/** The body by a schema, or what is answered instead. */
export async function readFields<S extends z.ZodObject>(
  request: Request,
  schema: S,
): Promise<{ ok: z.infer<S> } | { wrong: Response }> {
  const text = await readBody(request, MAX_BODY_BYTES);
  const value = "error" in text ? text : parseJson(text.ok);
  if ("error" in value) return { wrong: told(400, value.error.message) };
  const read = schema.safeParse(value.ok ?? {});
  if (read.success) return { ok: read.data };
  const [issue] = read.error.issues;
  const name = String(issue?.path[0] ?? "");
  return { wrong: told(422, name ? `'${name}' ${issue?.message}.` : "The body is no JSON object.") };
}

export function showRecord(monitor: Monitor, { mailDomain }: SettingsNeeds) {
  return {
    domain: monitor.domain,
    public_token: monitor.publicToken,
    created_at: second(monitor.createdAt),
    reporting_uri: `mailto:${reportsAddress(monitor, mailDomain)}`,
    email: monitor.email,
  };
}

/** "2026-02-17T12:25:01Z" */
export function second(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** What a domain publishes at `_dmarc.<domain>` so that reports come to its record: nothing but that changes. */
export function dmarcRecord(reportingUri: string): string {
  return `v=DMARC1; p=none; pct=100; rua=${reportingUri}; sp=none; aspf=r;`;
}
