/**
 * `/stats/outbound` and the paths below it (§10 of the wire contract): sums of the counters, by Eastern days. They are kept for ever
 * and asked for all time when no dates are given, so a `fromdate` of long ago is no error here, though code 1500 is documented for it.
 */
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import {
  type CounterKind,
  type CounterRange,
  countsByDay,
  type DayCount,
  totalCounts,
} from "../archive/counters.ts";
import { formatDay } from "../mail/eastern.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { type Result, refused } from "./error.ts";
import { fromDateParameter, textParameter, toDateParameter } from "./query.ts";
import { fromArchive, type ReadNeeds } from "./read-needs.ts";
import { overviewOf, overviewSchema } from "./stats-overview.ts";

const BAD_DATE = 900;
const ROOT = "/stats/outbound";
const family = "Statistics";

const query = {
  schema: z.object({
    tag: textParameter.optional(),
    fromdate: fromDateParameter.optional(),
    todate: toDateParameter.optional(),
    messagestream: textParameter.optional(),
  }),
  code: BAD_DATE,
};
type Query = z.infer<typeof query.schema>;

const errors = {
  [BAD_DATE]: "A date is none",
  1226: "There is no such stream",
  1502: "`fromdate` is after `todate`",
};

interface Table {
  path: string;
  summary: string;
  kind: CounterKind;
  /** Which part of the counters' names says what a count adds to. */
  part: number;
  /** The keys that a part adds to; the part itself when absent. */
  keys?: (part: string) => string[];
  /** Those whose totals stand there also when they are zero: clients read them as numbers. */
  always?: string[];
}

const TABLES: Table[] = [
  {
    path: "sends",
    summary: "Counts recipients that were mailed, by day",
    ...{ kind: "Sent", part: 0, always: ["Sent"] },
  },
  {
    path: "bounces",
    summary: "Counts bounces, by day and type",
    ...{ kind: "Bounce", part: 1, keys: (type) => (type === "SpamComplaint" ? [] : [type]) },
  },
  {
    path: "spam",
    summary: "Counts spam complaints, by day",
    ...{ kind: "Bounce", part: 1, keys: (type) => (type === "SpamComplaint" ? [type] : []) },
    always: ["SpamComplaint"],
  },
  {
    path: "tracked",
    summary: "Counts recipients of messages whose opens or links are tracked, by day",
    ...{ kind: "Sent", part: 1, keys: (tracking) => (tracking === "none" ? [] : ["Tracked"]) },
    always: ["Tracked"],
  },
  {
    path: "opens",
    summary: "Counts opens, all and the first of each recipient, by day",
    ...{ kind: "Open", part: 1, keys: (turn) => (turn === "first" ? ["Opens", "Unique"] : ["Opens"]) },
    always: ["Opens", "Unique"],
  },
  {
    path: "opens/platforms",
    summary: "Counts first opens by platform and day",
    ...{ kind: "Open", part: 2 },
  },
  {
    path: "opens/emailclients",
    summary: "Counts first opens by mail program and day",
    ...{ kind: "Open", part: 3 },
  },
  {
    path: "opens/readtimes",
    summary: "Counts first opens by seconds of reading and day",
    ...{ kind: "Open", part: 4 },
  },
  {
    path: "clicks",
    summary: "Counts clicks, all and the first of each recipient on each link, by day",
    ...{ kind: "Click", part: 1, keys: (turn) => (turn === "first" ? ["Clicks", "Unique"] : ["Clicks"]) },
    always: ["Clicks", "Unique"],
  },
  {
    path: "clicks/platforms",
    summary: "Counts first clicks by platform and day",
    ...{ kind: "Click", part: 2 },
  },
  {
    path: "clicks/browserfamilies",
    summary: "Counts first clicks by browser and day",
    ...{ kind: "Click", part: 3 },
  },
  {
    path: "clicks/location",
    summary: "Counts first clicks by the body that the link was in and day",
    ...{ kind: "Click", part: 4 },
  },
];

const days = z.array(z.object({ Date: z.string() }).catchall(z.int()));

export function statsEndpoints(needs: ReadNeeds): Endpoint[] {
  const overview = serverEndpoint(
    {
      ...{ method: "GET", path: ROOT, family, scope: "read", query, errors },
      summary: "Sums up all statistics of sent messages",
      response: overviewSchema,
    },
    async ({ policy, query }) => {
      const range = rangeOf(policy, query);
      if ("error" in range) return range;
      const counts = await fromArchive(totalCounts(needs.archive(policy.serverId), range.ok));
      return { ok: overviewOf(counts) };
    },
  );
  const tables = TABLES.map((table) =>
    serverEndpoint(
      {
        ...{ method: "GET", path: `${ROOT}/${table.path}`, family, scope: "read", query, errors },
        summary: table.summary,
        description:
          "Days are those of US Eastern time. One without any is left out, and so are zeros within a day. What happens is counted " +
          "within seconds.",
        response: z.object({ Days: days }).catchall(z.int()),
      },
      async ({ policy, query }) => {
        const range = rangeOf(policy, query);
        if ("error" in range) return range;
        const archive = needs.archive(policy.serverId);
        const counts = await fromArchive(countsByDay(archive, range.ok, table.kind, table.part));
        return { ok: tableOf(table, counts) };
      },
    ),
  );
  return [overview, ...tables];
}

function rangeOf({ serverId, streams }: ServerPolicy, query: Query): Result<CounterRange> {
  const { tag, fromdate, todate, messagestream: stream } = query;
  if (fromdate !== undefined && todate !== undefined && fromdate > todate)
    return refused(1502, "Parameter 'fromdate' may not be after 'todate'.");
  if (stream !== undefined && !streams.some((s) => s.id === stream))
    return refused(1226, "The message stream for the provided 'ID' was not found.");
  const fromDay = fromdate === undefined ? undefined : formatDay(fromdate);
  const toDay = todate === undefined ? undefined : formatDay(todate);
  return { ok: { serverId, tag, stream, fromDay, toDay } };
}

function tableOf({ keys = (part) => [part], always = [] }: Table, counts: DayCount[]) {
  const totals = new Map(always.map((key) => [key, 0]));
  const byDay = new Map<string, Map<string, number>>();
  for (const { day, key: part, count } of counts)
    for (const key of keys(part)) {
      const of = byDay.get(day) ?? new Map<string, number>();
      byDay.set(day, of.set(key, (of.get(key) ?? 0) + count));
      totals.set(key, (totals.get(key) ?? 0) + count);
    }
  const Days = Array.from(byDay, ([day, of]) => ({ Date: day, ...Object.fromEntries(of) }));
  return { Days, ...Object.fromEntries(totals) };
}
