/** The list of what waits, with more names on disk than are kept in memory. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type Entry, Folder, newEntry, readName } from "../../../src/gateway/spool/folder.ts";
import { WaitingList } from "../../../src/gateway/spool/waiting.ts";
import { newFolder } from "./spools.ts";

const ANY = () => true;
let path: string;
let list: WaitingList;
let count = 0;

beforeEach(() => {
  path = join(newFolder(), "waiting");
  mkdirSync(path, { recursive: true });
  list = new WaitingList(new Folder(join(path, "..")), { maxWindow: 10, maxOfGroup: 6 });
});

function write(at: number, group = "7"): Entry {
  const key = `00000000-0000-4000-8000-${String(++count).padStart(12, "0")}`;
  const entry = newEntry({ at, group, messages: 2, bytes: 100, key });
  writeFileSync(join(path, entry.name), "");
  return entry;
}

function remove(entry: Entry): void {
  rmSync(join(path, entry.name));
  list.remove(entry);
}

/** Takes the oldest, until there is none. */
async function drain(): Promise<number[]> {
  const order: number[] = [];
  for (;;) {
    const entry = list.next(ANY);
    if (!entry && !list.hasMore) return order;
    if (entry) {
      order.push(entry.at);
      remove(entry);
    } else await list.scan();
  }
}

describe("the waiting list", () => {
  it("goes through all that is on disk, oldest first, though it keeps few", async () => {
    for (let i = 0; i < 57; i++) write(1_000 + ((i * 13) % 57));
    await list.scan();
    expect([list.batches, list.messages, list.bytes, list.hasMore]).toEqual([57, 114, 5_700, true]);
    expect(list.oldestAt).toBe(1_000);
    expect(await drain()).toEqual(Array.from({ length: 57 }, (_, i) => 1_000 + i));
    expect([list.batches, list.messages, list.bytes, list.oldestAt]).toEqual([0, 0, 0, undefined]);
  });

  it("does not let one group hide the others", async () => {
    for (let i = 0; i < 40; i++) write(1_000 + i, "1");
    for (let i = 0; i < 3; i++) write(2_000 + i, "2");
    await list.scan();
    const other = list.next(({ group }) => group !== "1");
    expect(other?.at).toBe(2_000);
    expect(list.groups).toEqual(new Set(["1", "2"]));
  });

  it("counts what comes and goes while the names are read, once", async () => {
    const old = Array.from({ length: 8 }, (_, i) => write(1_000 + i));
    await list.scan();
    const scan = list.scan();
    remove(old[0] as Entry);
    for (let i = 0; i < 4; i++) list.add(write(2_000 + i));
    await scan;
    expect(list.batches).toBe(11);
    await list.scan();
    expect(list.batches).toBe(11);
    expect((await drain()).length).toBe(11);
    expect(list.batches).toBe(0);
  });

  it("does not show a file before it is known to be on the disk", async () => {
    const entry = write(1_000);
    list.expect(entry);
    await list.scan();
    expect([list.batches, list.next(ANY)]).toEqual([0, undefined]);
    list.add(entry);
    expect([list.batches, list.next(ANY)?.name]).toEqual([1, entry.name]);
  });

  it("forgets no back-off when it reads the names again", async () => {
    const entry = write(1_000);
    await list.scan();
    const waiting = list.next(ANY);
    if (waiting) waiting.attempts = 5;
    await list.scan();
    expect(list.next(ANY)).toMatchObject({ name: entry.name, attempts: 5 });
  });
});

describe("a file's name", () => {
  it("says what is in it, and sorts by time", () => {
    const entry = write(999);
    expect(readName(entry.name)).toEqual(entry);
    expect(entry.name < write(1_785_500_000_000).name).toBe(true);
    for (const other of ["README", `x${entry.name}`, `${entry.name}~`, entry.name.replace(".7.", ".-7.")])
      expect(readName(other)).toBe(undefined);
  });
});
