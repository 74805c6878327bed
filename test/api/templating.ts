/** The endpoints of templates, and those that send with them, on real databases; the gate for mail records what it is handed. */
import { StoredTemplateCache } from "../../src/accounts/template-cache.ts";
import { loadTemplate } from "../../src/accounts/templates.ts";
import { templatePushEndpoints } from "../../src/api/template-push.ts";
import { templateValidationEndpoints } from "../../src/api/template-validation.ts";
import { type TemplatedNeeds, templatedEndpoints } from "../../src/api/templated.ts";
import { type TemplateNeeds, templateEndpoints } from "../../src/api/templates.ts";
import type { Submission } from "../../src/mail/message.ts";
import { openSettings, type Settings } from "./settings.ts";

export interface Templating extends Settings {
  /** What the gate was handed. */
  sent: Submission[];
  /** Whether the directory fails when a template is looked up. */
  away: { now: boolean };
  /** How often a template was read from the directory. */
  reads: { count: number };
  /** Makes a template, and gives its number. */
  make(fields: Record<string, unknown>): Promise<number>;
}

export const STANDARD = { Name: "Welcome", Subject: "Hello {{name}}", TextBody: "Hi {{name}}." };
export const LAYOUT = {
  Name: "Frame",
  TemplateType: "Layout",
  HtmlBody: "<main>{{{ @content }}}</main>",
  TextBody: "-- {{{@content}}} --",
};

export async function openTemplating(): Promise<Templating> {
  const sent: Submission[] = [];
  const away = { now: false };
  const reads = { count: 0 };
  const settings = await openSettings<Omit<TemplatedNeeds & TemplateNeeds, keyof Settings["needs"]>>(
    (needs) => [
      ...templatedEndpoints(needs),
      ...templateValidationEndpoints(needs),
      ...templatePushEndpoints(needs),
      ...templateEndpoints(needs),
    ],
    ({ db, clock, needs: { log } }) => {
      const cache = new StoredTemplateCache({
        async load(serverId, ref) {
          if (away.now) throw new Error("D1_ERROR: away");
          reads.count++;
          return loadTemplate(db.directory, serverId, ref);
        },
        now: () => clock.now,
        log,
      });
      return {
        template: (serverId, ref) => cache.find(serverId, ref),
        templatesChanged: (serverId) => cache.forget(serverId),
        async accept(_policy, submissions) {
          sent.push(...submissions);
          const results = submissions.map(() => ({
            ok: true as const,
            messageId: crypto.randomUUID(),
            submittedAt: clock.now,
            inactive: [],
          }));
          return { kind: "accepted", results };
        },
      };
    },
  );
  await settings.db.directory
    .prepare(
      "INSERT INTO domains (account_id, name, verified_at, created_at) VALUES (?, 'example.com', 1, 1)",
    )
    .bind(settings.ours.accountId)
    .run();
  const make = async (fields: Record<string, unknown>) => {
    const { status, json } = await settings.call("POST", "/templates", fields);
    if (status !== 200) throw new Error(`no template made: ${JSON.stringify(json)}`);
    return (json as { TemplateId: number }).TemplateId;
  };
  return Object.assign(settings, { sent, away, reads, make });
}
