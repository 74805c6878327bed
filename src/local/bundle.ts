/**
 * A Worker as one script, as wrangler would bundle it. It takes seconds, and a test run starts sixty Workers, so the script is kept beside
 * the packages until one of the files that it is made of changes.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, resolve } from "node:path";
import type { Plugin } from "esbuild";

const ROOT = resolve(import.meta.dirname, "../..");
const CACHE = join(ROOT, "node_modules/.cache/edgepost");
/** What decides how it is bundled, beside the files that go into it. */
const MAKERS = [import.meta.filename, join(ROOT, "package-lock.json"), join(ROOT, "tsconfig.json")];

interface Kept {
  /** Each file that the script was made of, and what tells that it has changed. */
  files: Record<string, string>;
  script: string;
}

/** Packages `require` Node's modules, by either name; workerd has them, for `import` alone. Wrangler's bundles do the same. */
const nodeModules: Plugin = {
  name: "node-modules",
  setup({ onResolve, onLoad }) {
    const names = new Set(builtinModules);
    onResolve({ filter: /^(?:node:)?[a-z][a-z_/]*\d?$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, "");
      if (!names.has(name) && !path.startsWith("node:")) return undefined;
      if (kind === "require-call") return { path: name, namespace: "node-modules" };
      return { path: `node:${name}`, external: true };
    });
    onLoad({ filter: /.*/, namespace: "node-modules" }, ({ path }) => ({
      contents: `import all from "node:${path}"; module.exports = all;`,
    }));
  },
};

/** `entry` is from the repository's root. */
export async function bundle(entry: string): Promise<string> {
  const file = join(CACHE, `${entry.replaceAll(/[^\w.-]/g, "_")}.json`);
  const kept = read(file);
  if (kept && Object.entries(kept.files).every(([path, state]) => stateOf(path) === state))
    return kept.script;
  const made = await make(entry);
  mkdirSync(dirname(file), { recursive: true });
  // In one step, since others may read it, or write the same.
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify(made));
  renameSync(own, file);
  return made.script;
}

async function make(entry: string): Promise<Kept> {
  // Not before it is needed: it brings a process of its own.
  const { build } = await import("esbuild");
  const began = [...MAKERS, resolve(ROOT, entry)].map((path) => [path, stateOf(path)] as const);
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: [resolve(ROOT, entry)],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    plugins: [nodeModules],
    // No source map: it doubles the time until a killed workerd is back.
    logLevel: "silent",
  });
  const inputs = Object.keys(result.metafile.inputs)
    .filter((path) => !path.startsWith("node-modules:"))
    .map((path) => resolve(ROOT, path));
  return {
    files: Object.fromEntries([...inputs.map((path) => [path, stateOf(path)] as const), ...began]),
    script: result.outputFiles[0]?.text ?? "",
  };
}

function stateOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.mtimeMs} ${found.size}` : "gone";
}

function read(file: string): Kept | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Kept;
  } catch {
    // It was not made yet, or by a version that wrote it otherwise.
    return undefined;
  }
}
