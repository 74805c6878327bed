/** What a server's mail waits for, as it is listed and shown, and who may say that it is worth trying now. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type DestinationsNeeds, destinationEndpoints } from "../../src/api/destinations.ts";
import type { DestinationState } from "../../src/deliver/destination.ts";
import type { WaitingDomain } from "../../src/mail/waiting.ts";
import { NOON } from "../archive/databases.ts";
import { openSettings, type Settings } from "./settings.ts";

const MINUTE = 60_000;
let settings: Settings;
let waiting: Map<number, WaitingDomain[]>;
let states: Map<string, Partial<DestinationState>>;
let resumed: unknown[];
let isAway = false;

const answer = <T>(value: T) => (isAway ? Promise.reject(new Error("away")) : Promise.resolve(value));

function openState(name: string): DestinationState {
  return {
    ...{ name, state: "open", stop: undefined, limits: undefined, detours: [], recent: [] },
    ...{ connections: { used: 0, allowed: 5 }, perSecond: 1_000_000, underWay: 0, window: 20 },
  };
}

beforeAll(async () => {
  settings = await openSettings(destinationEndpoints, ({ ours, theirs }): DestinationsNeeds => {
    const serverOf = (accountId: number) => (accountId === ours.accountId ? ours : theirs).serverId;
    const of = (serverId: number, only?: string[]) =>
      answer((waiting.get(serverId) ?? []).filter(({ domain }) => !only || only.includes(domain)));
    return {
      now: () => NOON,
      waitingDomains: (serverId, _, only) => of(serverId, only),
      waitingOfAccount: (accountId, domains) => of(serverOf(accountId), domains),
      destinations: (names) => answer(names.map((name) => ({ ...openState(name), ...states.get(name) }))),
      resumeDestinations: (...what) => answer(resumed.push(what)).then(() => undefined),
    };
  });
});
beforeEach(() => {
  waiting = new Map([[settings.ours.serverId, [{ domain: "a.example", waiting: 2 }]]]);
  states = new Map();
  resumed = [];
  isAway = false;
});
afterAll(() => settings.dispose());

const list = (query = "") => settings.call("GET", `/destinations${query}`);
const look = (domain: string, as = settings.ours) =>
  settings.call("GET", `/destinations/${domain}`, undefined, as);
const resume = (domain: string, as = settings.ours) =>
  settings.call("POST", `/destinations/${domain}/resume`, undefined, as);

const OPEN = {
  ...{ State: "Open", Reason: null, Since: null, NextTryAt: null, RatePerMinute: null, Connections: 5 },
  ...{ PacedWith: null, AvoidedTransports: [] },
};

it("lists destinations by how much waits, over Outboxes and the domains of a provider", async () => {
  waiting.set(settings.ours.serverId, [
    { domain: "a.example", waiting: 2 },
    { domain: "hotmail.com", waiting: 4 },
    { domain: "z.example", waiting: 9 },
    { domain: "live.com", waiting: 3 },
    { domain: "a.example", waiting: 1, nextTryAt: NOON + MINUTE },
  ]);
  const { status, json } = await list();
  expect([status, json]).toEqual([
    200,
    {
      TotalCount: 3,
      Destinations: [
        { Destination: "z.example", ...OPEN, Waiting: 9 },
        { Destination: "outlook.com", ...OPEN, Waiting: 7 },
        { Destination: "a.example", ...OPEN, Waiting: 3 },
      ],
    },
  ]);
  const page = (await list("?count=1&offset=1")).json as { TotalCount: number; Destinations: object[] };
  expect(page).toMatchObject({ TotalCount: 3, Destinations: [{ Destination: "outlook.com" }] });
  expect(page.Destinations).toHaveLength(1);
  expect((await look("live.com")).json).toEqual({ Destination: "outlook.com", ...OPEN, Waiting: 7 });
});

it("is empty where nothing waits", async () => {
  waiting.clear();
  expect((await list()).json).toEqual({ TotalCount: 0, Destinations: [] });
});

it("says why mail waits, since when and until when", async () => {
  const stop = { since: NOON - MINUTE, until: NOON + MINUTE, everyMs: MINUTE, reason: "connection refused" };
  states.set("a.example", { state: "stopped", stop });
  expect((await look("a.example")).json).toMatchObject({
    ...{ State: "Stopped", Reason: "connection refused", Waiting: 2 },
    Since: "2026-02-17T06:59:00.0000000-05:00",
    NextTryAt: "2026-02-17T07:01:00.0000000-05:00",
  });
  states.set("a.example", { state: "to be probed", stop: { ...stop, until: NOON } });
  expect((await look("a.example")).json).toMatchObject({ State: "Probing", NextTryAt: null });
  const limits = { connections: 1, perSecond: 0.5, pausedUntil: NOON + MINUTE, pauseMs: MINUTE, at: NOON };
  states.set("a.example", {
    limits: { ...limits, since: NOON - MINUTE, reason: "421 too many" },
    ...{ perSecond: 0.5, connections: { used: 1, allowed: 1 } },
  });
  expect((await look("a.example")).json).toMatchObject({
    ...{ State: "SlowedDown", Reason: "421 too many", RatePerMinute: 30, Connections: 1 },
    Since: "2026-02-17T06:59:00.0000000-05:00",
    NextTryAt: "2026-02-17T07:01:00.0000000-05:00",
  });
  states.clear();
  const due = { domain: "a.example", waiting: 1, nextTryAt: NOON + MINUTE, reason: "greylisted" };
  waiting.set(settings.ours.serverId, [due]);
  expect((await look("a.example")).json).toEqual({
    ...{ Destination: "a.example", ...OPEN, Waiting: 1, Reason: "greylisted" },
    NextTryAt: "2026-02-17T07:01:00.0000000-05:00",
  });
});

it("shows ways that are avoided", async () => {
  const detour = {
    transport: "gateway",
    since: NOON,
    evidence: "550 listed",
    count: 3,
    trialAt: NOON + MINUTE,
  } as const;
  states.set("a.example", { detours: [{ ...detour, trialEveryMs: MINUTE }] });
  expect((await look("a.example")).json).toMatchObject({
    AvoidedTransports: [
      {
        ...{ Transport: "gateway", Reason: "550 listed", Since: "2026-02-17T07:00:00.0000000-05:00" },
        NextTryAt: "2026-02-17T07:01:00.0000000-05:00",
      },
    ],
  });
});

it("shows the provider's state where a domain's mail counts to it, and the domain's own where it stays apart", async () => {
  const stop = { since: NOON, until: NOON + MINUTE, everyMs: MINUTE, reason: "421 busy" };
  states.set("a.example", { goesTo: "gmail.com", hostedBy: "gmail.com" });
  states.set("gmail.com", { state: "stopped", stop });
  const shown = { Destination: "a.example", PacedWith: "gmail.com", State: "Stopped", Reason: "421 busy" };
  expect((await look("a.example")).json).toMatchObject(shown);
  expect((await list()).json).toMatchObject({ Destinations: [shown] });
  states.set("a.example", { hostedBy: "pphosted.com" });
  expect((await look("a.example")).json).toEqual({ Destination: "a.example", ...OPEN, Waiting: 2 });
});

it("resumes for an account with mail that waits, the provider too, and tells what it found", async () => {
  expect((await resume("A.Example")).json).toEqual({ Destination: "a.example", ...OPEN, Waiting: 2 });
  expect(resumed).toEqual([[settings.ours.accountId, ["a.example"], ["a.example"]]]);
  states.set("a.example", { goesTo: "gmail.com" });
  await resume("a.example");
  expect(resumed[1]).toEqual([settings.ours.accountId, ["a.example", "gmail.com"], ["a.example"]]);
  waiting.set(settings.ours.serverId, [{ domain: "googlemail.com", waiting: 1 }]);
  expect((await resume("gmail.com")).json).toMatchObject({ Destination: "gmail.com", Waiting: 1 });
  expect(resumed[2]).toEqual([settings.ours.accountId, ["gmail.com"], ["gmail.com", "googlemail.com"]]);
});

it.each(["a.example", "none.example", "localhost", "a..example", "%00", "1.2.3.4", "x".repeat(300)])(
  "%s is not there for who has no mail for it",
  async (domain) => {
    for (const asked of [look, resume]) {
      const { status, code, json } = await asked(domain, settings.theirs);
      expect([status, code, json.ErrorCode]).toEqual([422, "1490", 1490]);
    }
    expect(resumed).toEqual([]);
  },
);

it("is to be asked again when it cannot be looked at", async () => {
  isAway = true;
  for (const { status, code } of [await list(), await look("a.example"), await resume("a.example")])
    expect([status, code]).toEqual([503, "100"]);
  expect(resumed).toEqual([]);
});
