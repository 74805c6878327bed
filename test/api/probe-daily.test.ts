/** The probe of each day: when it is sent, by what, and what is said of it a few minutes later. */
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { systemServer } from "../../src/accounts/system-server.ts";
import type { ProbeNeeds } from "../../src/api/probe.ts";
import { writeRecords } from "../../src/archive/write.ts";
import { probeDaily } from "../../src/cron/probe-daily.ts";
import { type Databases, delivered, idAt, message, NOON, openDatabases } from "../archive/databases.ts";

const AT = Date.UTC(2026, 1, 17, 3, 17);
const LOOKS_AT = AT + 5 * 60_000;
const TO = "p-1@bounces.mail.example.com";

let db: Databases;
let serverId = 0;
let sent: unknown[] = [];
let isFull = false;
const said: Record<string, unknown>[] = [];
const env = () => ({
  DIRECTORY: db.directory,
  ARCHIVE: db.archive,
  ...{ EDGEPOST_SECRET: "a secret", MAIL_DOMAIN: "mail.example.com", SMARTHOST: '{"host":"relay"}' },
  ...{ GATEWAYS: '[{"url":"https://gateway.example.com"}]', PROBE_DAILY: "1" },
});
/** Each of the log's events at a second of its own; the last, if it is told, is the probe's bounce. */
let told: string | undefined;
const EVENTS = 1_000;

const needs = {
  now: () => LOOKS_AT,
  mailDomain: "mail.example.com",
  probeAddress: async () => TO,
  async acceptProbe(_: unknown, probe: { transport?: string }) {
    if (isFull) return undefined;
    sent.push(probe.transport);
    return idAt(AT);
  },
  held: async () => undefined,
  archive: () => db.archive,
  events: () => ({
    head: async () => EVENTS,
    async read({ after, messageId, limit }: { after: number; messageId?: string; limit: number }) {
      // Fifty at a time, as the log reads packs.
      const all = Array.from({ length: Math.min(50, EVENTS - after) }, (_, i) => after + i + 1);
      const events = all
        .map((seq) => ({ seq, at: AT - (EVENTS - seq) * 1_000, messageId: seq === EVENTS ? told : "other" }))
        .filter((event) => messageId === undefined || event.messageId === messageId);
      return { events: events.slice(0, limit), next: after + all.length, more: after + all.length < EVENTS };
    },
  }),
} as unknown as ProbeNeeds;

beforeAll(async () => {
  db = await openDatabases();
  vi.spyOn(console, "log").mockImplementation((line: string) => void said.push(JSON.parse(line)));
});
beforeEach(async () => {
  await db.clear();
  const settings = { directory: db.directory, now: () => NOON, deploymentSecret: "a secret" };
  serverId = await systemServer({ ...settings, mailDomain: "mail.example.com" });
  sent = [];
  isFull = false;
  told = undefined;
  said.length = 0;
});
afterAll(async () => {
  vi.restoreAllMocks();
  await db.dispose();
});

async function probed(): Promise<string> {
  const probe = {
    ...message([{ ...delivered(TO), at: AT }], { receivedAt: AT, tag: "bounce-probe" }),
    serverId,
  };
  const id = idAt(AT);
  const of = { serverId, messageId: id, email: TO, type: "Unknown", stream: "outbound", tag: "" };
  const bounce = {
    ...of,
    fromEmail: "a@b.example",
    subject: "",
    details: "",
    bouncedAt: AT,
    dump: "dumps/x",
  };
  await writeRecords(db.archive, [{ ...probe, id }], [{ ...bounce, inactive: false }]);
  return id;
}

it("goes out at its minute alone, through each transport", async () => {
  for (const at of [AT - 1, AT, AT + 59_999, AT + 60_000]) await probeDaily(at, env(), needs);
  expect(sent).toEqual(["gateway", "smarthost", "gateway", "smarthost"]);
  await probeDaily(AT, { ...env(), PROBE_DAILY: "0" }, needs);
  expect(sent).toHaveLength(4);
});

it("that is not accepted is an alarm, for each", async () => {
  isFull = true;
  await probeDaily(AT, env(), needs);
  expect(said).toMatchObject([
    { event: "no probe sent", alarm: true, transport: "gateway" },
    { event: "no probe sent", alarm: true, transport: "smarthost" },
  ]);
});

it("that is back is told of, and the one that is not in the archive is an alarm", async () => {
  told = await probed();
  await probeDaily(LOOKS_AT, env(), needs);
  expect(said).toEqual([
    { event: "probe", id: told, state: "Working" },
    { event: "probes are not in the archive", alarm: true, missing: 1 },
  ]);
});

it("whose event is not in the log is an alarm in words, and one of yesterday is none", async () => {
  const id = await probed();
  await probeDaily(LOOKS_AT, env(), needs);
  expect(said[0]).toMatchObject({ event: "probe", id, state: "Broken", alarm: true });
  expect(said[0]?.why).toMatch(/the event log does not have it/);
  said.length = 0;
  await probeDaily(LOOKS_AT + 86_400_000, env(), needs);
  expect(said).toEqual([{ event: "probes are not in the archive", alarm: true, missing: 2 }]);
});

it("that cannot be looked for is an alarm", async () => {
  await probed();
  const away = () => {
    throw new Error("the event log is away");
  };
  await probeDaily(LOOKS_AT, env(), { ...needs, events: away });
  expect(said).toMatchObject([{ event: "probes not looked at", alarm: true }]);
});
