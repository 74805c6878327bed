import { expect, it } from "vitest";
import { BulkMerges } from "../../src/api/bulk-merges.ts";
import { BulkProblems } from "../../src/api/bulk-problems.ts";

const nameOf = (n: number) => `user-${String(n).padStart(15, "0")}`;

it("what is remembered of a request's names does not grow with its messages", async () => {
  const [merges, problems] = [new BulkMerges(), new BulkProblems()];
  for (let n = 0; n < 100_000; n++) merges.note(n, { metadata: { [nameOf(0)]: String(n) } }, problems);
  expect(problems.count).toBe(0);
  for (let n = 0; n < 100_000; n++) merges.note(n, { metadata: { [nameOf(n)]: "1" } }, problems);
  expect(problems.count).toBe(1);
  expect(await problems.response().json()).toMatchObject({ ErrorCode: 300 });
});
