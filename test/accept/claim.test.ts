/** Claims, over packs in memory. */
import { describe, expect, it } from "vitest";
import { claimGroups } from "../../src/accept/claim.ts";
import type { OutboxNeeds } from "../../src/accept/needs.ts";
import type { Store } from "../../src/accept/store.ts";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import { Rows } from "./rows.ts";

const T = 2_000_000;
const ref = { messageId: "m0", domain: "x.example" };

function world() {
  const rows = new Rows();
  const pack = rows.add("m0");
  if (pack.progress[0]) pack.progress[0].segment = { key: "s", offset: 0, length: 10 };
  rows.change(pack);
  const shelf = rows.shelf();
  shelf.lines.lapse(T);
  const suppressed = new Set<string>();
  const needs: Partial<OutboxNeeds> = { now: () => T, returnPath: async () => "b@bounces.example.com" };
  const policy: Partial<ServerPolicy> = { serverId: 7, transports: ["gateway"], sandbox: false };
  const store: Partial<Store> = {
    claimsBegin: () => undefined,
    isSuppressed: (_stream, email) => suppressed.has(email),
  };
  const context = { policy, store, shelf, needs } as unknown as Parameters<typeof claimGroups>[2];
  const claim = (claimer: string) => claimGroups([ref], claimer, context);
  const state = () => shelf.find("m0")?.progress.groups[0]?.recipients[0]?.state;
  return { shelf, suppressed, claim, state };
}

describe("a claim", () => {
  it("suppresses who was suppressed since, and then there is nobody to send to", async () => {
    const { shelf, suppressed, claim, state } = world();
    suppressed.add("m0@x.example");
    expect(await claim("one")).toEqual({ claims: [], gone: [ref] });
    expect(state()).toBe("suppressed");
    expect(shelf.lines.has(ref)).toBe(false);
  });

  it("that another has keeps its recipients: they are being sent to", async () => {
    const { suppressed, claim, state } = world();
    expect((await claim("one")).claims).toMatchObject([{ ...ref, recipients: ["m0@x.example"] }]);
    suppressed.add("m0@x.example");
    expect(await claim("two")).toEqual({ claims: [], gone: [ref] });
    expect(state()).toBe("waiting");
  });
});
