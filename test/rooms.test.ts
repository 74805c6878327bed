/** The rule of the floors: a room imports from lower floors only. Change it on purpose. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");

const FLOORS: Record<string, number> = {
  "worker.ts": 9,
  cron: 8,
  wiring: 7,
  "bindings.ts": 6,
  "log.ts": 6,
  api: 5,
  dashboard: 5,
  accept: 4,
  deliver: 4,
  erase: 4,
  receive: 4,
  notify: 4,
  track: 3,
  accounts: 2,
  suppress: 2,
  archive: 2,
  smtp: 1,
  compose: 1,
  template: 1,
  schema: 1,
  mail: 0,
};

/** Programs of their own, outside the house: what they may import of it. */
const OUTSIDE: Record<string, string[] | "everything"> = {
  gateway: ["mail", "smtp"],
  cli: ["mail", "smtp"],
  local: "everything",
};

/** Doors may know the types of the stage that they stand before. */
const ON_PURPOSE = [
  // The signing keys in a server's policy are made by compose's newKeyPair when an account makes a domain.
  "accounts -> compose",
];

/** It mends what a library finds in Node's modules. */
const NODE_ON_PURPOSE = "receive/inbound/digest-names.ts";

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
const room = (file: string) => file.split("/")[0] ?? "";

function imports(file: string): string[] {
  const text = readFileSync(join(SRC, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((m) => m[1] ?? "");
}

function importedRooms(file: string): string[] {
  return imports(file)
    .filter((name) => name.startsWith("."))
    .map((name) => room(relative(SRC, resolve(SRC, dirname(file), name))));
}

describe("the rooms of the house", () => {
  it("has no room without a floor", () => {
    const unknown = files.map(room).filter((r) => !(r in FLOORS) && !(r in OUTSIDE));
    expect(unknown).toEqual([]);
  });

  it("imports from lower floors only: never up, never sideways", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const from = room(file);
      for (const to of importedRooms(file)) {
        if (to === from || ON_PURPOSE.includes(`${from} -> ${to}`)) continue;
        const outside = OUTSIDE[from];
        const allowed = outside
          ? outside === "everything" || outside.includes(to)
          : (FLOORS[to] ?? 99) < (FLOORS[from] ?? -1);
        if (!allowed) wrong.push(`${file} imports ${to}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("keeps Env on the top floors", () => {
    const readers = files.filter((f) => (FLOORS[room(f)] ?? 0) < 6);
    expect(readers.filter((f) => importedRooms(f).includes("bindings.ts"))).toEqual([]);
  });

  it("uses the platform's modules only in objects and transports, and Node's only outside the Worker", () => {
    const wrong = files.filter((f) => {
      const names = imports(f);
      const platform = names.filter((n) => n.startsWith("cloudflare:"));
      const object = platform.every((n) => n === "cloudflare:workers");
      if (platform.length > 0 && !f.startsWith("deliver/transport/") && !object) return true;
      const node = names.some((n) => n.startsWith("node:"));
      return node && !(room(f) in OUTSIDE) && !f.startsWith("deliver/transport/") && f !== NODE_ON_PURPOSE;
    });
    expect(wrong).toEqual([]);
  });

  it("has no barrels, helpers or utils, and every import names its file", () => {
    expect(files.filter((f) => /(^|\/)(index|utils?|helpers?|types)\.ts$/.test(f))).toEqual([]);
    const bare = files.flatMap((f) => imports(f).filter((n) => n.startsWith(".") && !n.endsWith(".ts")));
    expect(bare).toEqual([]);
  });

  it("opens every file with what it is for", () => {
    const silent = files.filter((f) => !/^(\/\*\*|\/\/)/.test(readFileSync(join(SRC, f), "utf8")));
    expect(silent).toEqual([]);
  });
});
