/** The list of our own domains, which a gateway that starts while the Worker is away has from its disk. */
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { OwnDomainList } from "../../../src/gateway/door/own-domains.ts";
import { newState, until } from "./doors.ts";
import { INBOUND } from "./fake-worker.ts";

it("that the disk did not take is written when it does, though it has not changed since", async () => {
  const folder = newState();
  const blocked = join(folder, "domains.json.new");
  mkdirSync(blocked);
  const list = { inbound: [INBOUND], returnPath: ["bounces.example.com"] };
  const events: string[] = [];
  const domains = new OwnDomainList({
    folder,
    worker: { json: async () => list },
    log: (event) => events.push(event),
  });
  await domains.load();
  expect(await domains.has(INBOUND)).toBe(true);
  expect(events).toEqual(["own domains not refreshed"]);
  rmdirSync(blocked);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61_000 });
  domains.refreshIfOld();
  vi.useRealTimers();
  const written = () => JSON.parse(readFileSync(join(folder, "domains.json"), "utf8")) as unknown;
  await until(() => {
    try {
      return written() !== undefined;
    } catch {
      // It is not there yet.
      return false;
    }
  });
  expect(written()).toEqual(list);
});
