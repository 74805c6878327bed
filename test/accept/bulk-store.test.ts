import { expect, it } from "vitest";
import { BulkStore } from "../../src/accept/bulk-store.ts";

it("takes nothing more while what is there needs the rest of its object to be released", () => {
  const written: string[] = [];
  const sql = { databaseSize: 9_000_000_000, exec: (statement: string) => void written.push(statement) };
  const storage = {
    sql,
    transactionSync: (write: () => unknown) => write(),
  } as unknown as DurableObjectStorage;
  const store = new BulkStore(storage);
  written.length = 0;
  expect(() => store.put("a", 1, new Uint8Array(1), 0)).toThrow("too many messages");
  expect(written).toEqual([]);
});
