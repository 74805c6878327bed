/** wrangler.toml would deploy as it is: what a clean account would refuse, and what reliability rests on. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { readConfig } from "../src/local/workerd.ts";

const file = resolve(import.meta.dirname, "../wrangler.toml");
const raw = parse(readFileSync(file, "utf8")) as Record<string, unknown>;
const config = readConfig();

describe("wrangler.toml", () => {
  it("binds every queue that is consumed as a producer too", () => {
    const produced = config.queues.producers.map((q) => q.queue);
    expect(config.queues.consumers.map((q) => q.queue).filter((q) => !produced.includes(q))).toEqual([]);
  });

  it("gives the queue of deliveries a dead-letter queue, which somebody reads", () => {
    const [deliveries] = config.queues.consumers;
    expect(deliveries?.dead_letter_queue).toBeTruthy();
    expect(config.queues.consumers.map((q) => q.queue)).toContain(deliveries?.dead_letter_queue);
  });

  it("has no resource ids: wrangler provisions them", () => {
    expect(readFileSync(file, "utf8")).not.toMatch(/\b(database_id|preview_id|\bid)\s*=/);
  });

  it("keeps Durable Objects in SQLite, has the two databases with their migrations, R2, send_email and cron", () => {
    const migrations = raw.migrations as { new_sqlite_classes?: string[]; new_classes?: string[] }[];
    const classes = migrations.flatMap((m) => m.new_sqlite_classes ?? []);
    expect(migrations.flatMap((m) => m.new_classes ?? [])).toEqual([]);
    expect(config.durable_objects.bindings.map((b) => b.class_name).sort()).toEqual(classes.sort());
    expect(config.d1_databases.map((d) => d.binding)).toEqual(["DIRECTORY", "ARCHIVE"]);
    expect(config.r2_buckets).toHaveLength(1);
    expect(config.send_email).toHaveLength(1);
    expect((raw.triggers as { crons: string[] }).crons).toEqual(["* * * * *"]);
  });

  it("holds no secret", () => {
    expect(Object.keys(config.vars).filter((v) => /SECRET|PASSWORD|TOKEN/.test(v))).toEqual([]);
  });
});
