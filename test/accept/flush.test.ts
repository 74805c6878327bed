import { expect, it } from "vitest";
import { Flush } from "../../src/accept/flush.ts";
import type { KnownServer } from "../../src/accept/known-server.ts";
import type { OutboxNeeds } from "../../src/accept/needs.ts";
import { newProgress, type PackedMessage } from "../../src/accept/pack.ts";
import { Shelf } from "../../src/accept/shelf.ts";
import type { Store } from "../../src/accept/store.ts";
import { POLICY } from "../api/sending.ts";

/** A message that everybody has, from that domain. */
function delivered(n: number, fromDomain: string, body: PackedMessage["body"] = { offset: 0, length: 9 }) {
  const recipients = ["a@x.example"];
  const message: PackedMessage = {
    id: `018bcfe5-6800-8000-8000-${String(n).padStart(12, "0")}`,
    ...{ acceptedAt: 1_000, stream: "outbound", subject: "s", tag: "", giveUpAt: 9e15 },
    summary: {
      from: { email: `a@${fromDomain}`, name: "" },
      ...{ to: [], cc: [], bcc: [], attachments: [], metadata: {}, recipients },
      ...{ trackOpens: false, trackLinks: "None", sandboxed: false },
    },
    groups: [{ domain: "x.example", recipients }],
    ...{ fromDomain, returnPathDomain: "bounces.example.com", bounceType: "", body },
  };
  const progress = newProgress(message, new Set());
  for (const group of progress.groups) for (const r of group.recipients) r.state = "delivered";
  return { id: n, messages: [message], progress: [progress], hasBody: true };
}

it("a message that cannot be archived keeps no other from the archive, and is tried again", async () => {
  const [clock, gone, put] = [{ now: 10_000 }, [] as number[], [] as string[]];
  const broken = new Set(["broken.example"]);
  const store = {
    packs: () => [],
    pack: () => undefined,
    bytes: () => new TextEncoder().encode("Subject: s\r\n\r\n"),
    updatePack() {},
    deletePacks: (ids: number[]) => gone.push(...ids),
  } as unknown as Store;
  const needs = {
    now: () => clock.now,
    random: () => 0.5,
    async sign(_policy: unknown, { fromDomain }: PackedMessage) {
      if (broken.has(fromDomain)) throw new Error("its key cannot be opened");
      return "";
    },
    getObject: async () => undefined,
    putObject: async (key: string) => put.push(key),
    record: async () => [],
    tellEvents: async () => {},
    log() {},
  } as unknown as OutboxNeeds;
  const shelf = new Shelf(store, 0);
  const server = { shard: "42/local/0", serverId: 42, policy: async () => POLICY } as KnownServer;
  const flush = new Flush(store, shelf, server, needs);
  shelf.add(delivered(1, "broken.example"), clock.now);
  shelf.add(delivered(2, "example.com", { large: "large/of/nobody", length: 9 }), clock.now);
  shelf.add(delivered(3, "example.com"), clock.now);
  await flush.run();
  expect(gone).toEqual([3]);
  expect(put).toHaveLength(1);
  expect(flush.due()).toBeGreaterThan(clock.now);
  broken.clear();
  clock.now = flush.due() ?? 0;
  await flush.run();
  expect(gone).toEqual([3, 1]);
  expect(flush.due()).toBeGreaterThan(clock.now);
});
