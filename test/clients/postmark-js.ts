/**
 * Runs the integration suite that lies in postmark.js's own npm package, as its authors run it (mocha, 30 seconds, one retry), but
 * against the local system. Its files are bundled unchanged; what they import as the client is the package's own client, whose
 * default host is ours.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build, type Plugin } from "esbuild";

const require = createRequire(import.meta.url);

export interface SuiteEnvironment {
  /** "127.0.0.1:8787" */
  host: string;
  serverToken: string;
  accountToken: string;
  /** A confirmed sender. */
  from: string;
  to: string;
  /** Domains and senders are made below it. */
  domain: string;
}

export interface SuiteResult {
  tests: number;
  /** Full titles. */
  failures: { title: string; message: string }[];
  pending: string[];
}

/** `name` is the package's in node_modules: "postmark", or the alias of an older version. */
export async function runSuite(
  name: string,
  environment: SuiteEnvironment,
  folder: string,
): Promise<SuiteResult> {
  const root = dirname(dirname(require.resolve(name)));
  const built = join(folder, name);
  mkdirSync(built, { recursive: true });
  const client = join(built, "client.cjs");
  writeFileSync(client, clientOf(root, environment.host));
  const files = readdirSync(join(root, "test/integration")).filter((file) => file.endsWith(".test.ts"));
  await build({
    entryPoints: files.map((file) => join(root, "test/integration", file)),
    outdir: built,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "silent",
    plugins: [places(root, client)],
  });
  const report = join(built, "report.json");
  await mocha(
    files.map((file) => join(built, file.replace(/\.ts$/, ".cjs"))),
    report,
    {
      ...process.env,
      SERVER_API_TOKEN: environment.serverToken,
      ACCOUNT_API_TOKEN: environment.accountToken,
      SENDER_EMAIL_ADDRESS: environment.from,
      RECIPIENT_EMAIL_ADDRESS: environment.to,
      DOMAIN_NAME: environment.domain,
    },
  );
  const read = JSON.parse(readFileSync(report, "utf8")) as MochaReport;
  rmSync(built, { recursive: true });
  return {
    tests: read.stats.tests,
    failures: read.failures.map((f) => ({ title: f.fullTitle, message: f.err.message ?? "" })),
    pending: read.pending.map((p) => p.fullTitle),
  };
}

interface MochaReport {
  stats: { tests: number };
  failures: { fullTitle: string; err: { message?: string } }[];
  pending: { fullTitle: string }[];
}

/** The package's client, told where its requests go: the one thing that a move to us changes. */
function clientOf(root: string, host: string): string {
  return `const { HttpClient } = require(${JSON.stringify(join(root, "dist/client/models/client/HttpClient.js"))});
Object.assign(HttpClient.DefaultOptions, { requestHost: ${JSON.stringify(host)}, useHttps: false });
module.exports = require(${JSON.stringify(root)});
`;
}

/** The suite imports sources that the package does not hold; its compiled files are the same. */
function places(root: string, client: string): Plugin {
  return {
    name: "places",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /src\/index$/ }, () => ({ path: client, external: true }));
      onResolve({ filter: /src\/client\/models$/ }, () => ({
        path: join(root, "dist/client/models/index.js"),
        external: true,
      }));
      // Only its types.
      onResolve({ filter: /^mocha$/ }, ({ path }) => ({ path, namespace: "empty" }));
      onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "" }));
    },
  };
}

function mocha(files: string[], report: string, env: NodeJS.ProcessEnv): Promise<void> {
  const options = ["--timeout", "30000", "--retries", "1", "--exit"];
  const reporter = ["--reporter", "json", "--reporter-option", `output=${report}`];
  const child = spawn(
    process.execPath,
    [require.resolve("mocha/bin/mocha.js"), ...options, ...reporter, ...files],
    { env, stdio: "ignore", cwd: dirname(report) },
  );
  // Its exit code is the number of failures, which the report names.
  return new Promise((done, failed) => child.once("error", failed).once("exit", () => done()));
}
