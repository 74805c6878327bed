/**
 * `npm test`: types, linter and every test. Its last line is `N passed, N failed`, with `, N skipped` when a system
 * package is missing, and before it how to get that.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What succeeds when it is there, and the Debian package that has it. */
const LIBRARIES: [string[], string][] = [
  [["ruby", "-e", "require 'postmark'"], "ruby-postmark"],
  [["/usr/bin/python3", "-c", "import django, anymail, requests"], "python3-django-anymail"],
];

/** Program, and the Debian package that has it. */
const PROGRAMS: [string, string][] = [
  ["swaks", "swaks"],
  ["opendkim-testmsg", "opendkim-tools"],
  ["opendkim", "opendkim"],
  ["opendmarc", "opendmarc"],
  ["spamassassin", "spamassassin"],
  ["python3", "python3"],
  ["strace", "strace"],
  ["curl", "curl"],
  ["msmtp", "msmtp"],
  ["postqueue", "postfix"],
  ["rspamd", "rspamd"],
  ["chromium", "chromium"],
];

function run(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: "inherit" }).status === 0;
}

const checks = [
  ["types", run("tsc", ["--noEmit"])],
  ["lint and format", run("biome", ["check", "--error-on-warnings"])],
] as const;

const folder = mkdtempSync(join(tmpdir(), "edgepost-test-"));
const report = join(folder, "report.json");
const files = process.argv.slice(2);
const ran = run("vitest", [
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...files,
]);

let passed = checks.filter(([, ok]) => ok).length;
let failed = checks.filter(([, ok]) => !ok).length;
let skipped = 0;
try {
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  ) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    testResults: { status: string; assertionResults: unknown[] }[];
  };
  passed += numPassedTests;
  skipped += numPendingTests;
  // A file that could not be loaded has no tests to count, and is a failure.
  const broken = testResults.filter((r) => r.status === "failed" && r.assertionResults.length === 0).length;
  failed += numFailedTests + broken;
  if (!ran && numFailedTests + broken === 0) failed++;
} catch {
  // No report: the runner itself did not get through.
  failed++;
}
rmSync(folder, { recursive: true });

for (const [name, ok] of checks) if (!ok) console.log(`failed: ${name}`);
const tries = [...PROGRAMS.map(([program, name]) => [["which", program], name] as const), ...LIBRARIES];
const missing = tries
  .filter(([[command = "", ...args]]) => spawnSync(command, args).status !== 0)
  .map(([, name]) => name);
if (missing.length > 0) console.log(`Skipped tests need: apt-get install ${[...new Set(missing)].join(" ")}`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 ? 1 : 0);
