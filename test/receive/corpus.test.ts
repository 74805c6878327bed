/** Every message of test/corpus is read as its index says: real shapes, made by hand, each with its origin. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readReport } from "../../src/receive/read-report.ts";
import { CORPUS, type Expected, MESSAGE_ID, REPORTS } from "./corpus.ts";

/** A report as the index writes it. */
async function read(folder: string, file: string, expected: Expected) {
  const raw = readFileSync(join(CORPUS, folder, file));
  const report = await readReport(raw, { reversePath: expected.reversePath ?? "<>", messageId: "" });
  const got: Record<string, unknown> = { ...report };
  if ("original" in report) {
    got.by = report.original.by;
    expect([MESSAGE_ID, ""]).toContain(report.original.messageId);
  }
  if ("recipients" in report && report.kind !== "complaint") {
    got.recipients = report.recipients.map(({ address, action, type }) => ({
      address,
      action,
      ...(type && { type }),
    }));
  }
  const { origin: _, reversePath: __, ...wanted } = expected;
  return { got, wanted };
}

describe.each(Object.entries(REPORTS))("test/corpus/%s", (folder, index) => {
  it("names every file", () => {
    const files = readdirSync(join(CORPUS, folder)).filter((f) => f.endsWith(".eml"));
    expect(Object.keys(index).sort()).toEqual(files.sort());
  });

  it.each(Object.entries(index))("%s", async (file, expected) => {
    expect(expected.origin).not.toBe("");
    const { got, wanted } = await read(folder, file, expected);
    expect(got).toMatchObject(wanted);
  });
});

it("is large enough to be worth something", () => {
  const count = (folder: string) => Object.keys(REPORTS[folder] ?? {}).length;
  expect(count("dsn")).toBeGreaterThanOrEqual(120);
  expect(count("complaints")).toBeGreaterThanOrEqual(20);
  expect(count("auto-replies")).toBeGreaterThanOrEqual(30);
});
