/** Query strings as clients write them, and dates without a zone as Eastern time. */
import { describe, expect, it } from "vitest";
import { dateRange, paging, parseDate, queryFlag, readQuery } from "../../src/api/query.ts";

const query = (text: string) => readQuery(`http://x/messages/outbound?${text}`);

describe("keys and values", () => {
  it.each([
    ["fromDate=1", "fromdate", "1"],
    ["FROMDATE=1", "fromdate", "1"],
    ["message_stream=a", "messagestream", "a"],
    ["MessageStream=a", "messagestream", "a"],
    ["client_name=Apple+Mail", "clientname", "Apple Mail"],
    ["clientName=Apple%20Mail", "clientname", "Apple Mail"],
    ["clientName=Apple Mail", "clientname", "Apple Mail"],
    ["tag=a%26b", "tag", "a&b"],
    ["tag=a&TAG=b", "tag", "b"],
    ["tag=%zz", "tag", "%zz"],
    ["tag=", "tag", undefined],
    ["tag", "tag", undefined],
  ])("%s", (text, key, value) => {
    expect(query(text).values.get(key)).toBe(value);
  });

  it("metadata's keys stay as they are", () => {
    const { metadata, values } = query("metadata_Color_Code=red&METADATA_x=1&metadata_empty=");
    expect([...metadata]).toEqual([
      ["Color_Code", "red"],
      ["x", "1"],
    ]);
    expect(values.size).toBe(0);
  });

  it("without a query there is none", () => {
    expect(readQuery("http://x/bounces").values.size).toBe(0);
  });

  it.each([
    ["inactive=true", true],
    ["inactive=True", true],
    ["inactive=1", true],
    ["inactive=FALSE", false],
    ["inactive=0", false],
    ["inactive=", undefined],
    ["", undefined],
    ["inactive=yes", "invalid"],
  ])("the flag of %j is %s", (text, expected) => {
    expect(queryFlag(query(text), "inactive")).toBe(expected);
  });
});

describe("dates", () => {
  it.each<[string, string, string]>([
    // Winter is UTC-5, summer is UTC-4.
    ["2025-01-05", "2025-01-05T05:00:00.000Z", "2025-01-06T04:59:59.999Z"],
    ["2025-1-5", "2025-01-05T05:00:00.000Z", "2025-01-06T04:59:59.999Z"],
    ["2025-07-05", "2025-07-05T04:00:00.000Z", "2025-07-06T03:59:59.999Z"],
    // The days on which the clock changes have 23 and 25 hours.
    ["2025-03-09", "2025-03-09T05:00:00.000Z", "2025-03-10T03:59:59.999Z"],
    ["2025-11-02", "2025-11-02T04:00:00.000Z", "2025-11-03T04:59:59.999Z"],
    ["2025-12-31", "2025-12-31T05:00:00.000Z", "2026-01-01T04:59:59.999Z"],
    ["2024-02-29", "2024-02-29T05:00:00.000Z", "2024-03-01T04:59:59.999Z"],
    ["2025-01-05T10:30:00", "2025-01-05T15:30:00.000Z", "2025-01-05T15:30:00.000Z"],
    ["2025-01-05 10:30", "2025-01-05T15:30:00.000Z", "2025-01-05T15:30:00.000Z"],
    ["2025-01-05T00:00:00.0000000", "2025-01-05T05:00:00.000Z", "2025-01-05T05:00:00.000Z"],
    ["2025-01-05T00:00:00.1234567", "2025-01-05T05:00:00.123Z", "2025-01-05T05:00:00.123Z"],
    ["2025-01-05T10:30:00Z", "2025-01-05T10:30:00.000Z", "2025-01-05T10:30:00.000Z"],
    ["2025-01-05T10:30:00.5+02:00", "2025-01-05T08:30:00.500Z", "2025-01-05T08:30:00.500Z"],
    ["2025-01-05T10:30:00 02:00", "2025-01-05T08:30:00.000Z", "2025-01-05T08:30:00.000Z"],
    ["2025-01-05T10:30:00-0430", "2025-01-05T15:00:00.000Z", "2025-01-05T15:00:00.000Z"],
    // 02:30 does not exist on this day; 01:30 comes twice on that one.
    ["2025-03-09T02:30:00", "2025-03-09T07:30:00.000Z", "2025-03-09T07:30:00.000Z"],
    ["2025-11-02T01:30:00", "2025-11-02T05:30:00.000Z", "2025-11-02T05:30:00.000Z"],
  ])("%s", (text, start, end) => {
    expect(new Date(parseDate(text, "start") ?? 0).toISOString()).toBe(start);
    expect(new Date(parseDate(text, "end") ?? 0).toISOString()).toBe(end);
  });

  it.each([
    "",
    "yesterday",
    "2025",
    "2025-13-01",
    "2025-02-30",
    "2025-00-10",
    "2025-01-05T25:00:00",
    "2025-01-05T10",
    "05/01/2025",
    "2025-01-05x",
    "1736035200",
  ])("%j is none", (text) => {
    expect(parseDate(text, "start")).toBeUndefined();
  });

  it("make a range, each end alone or both", () => {
    expect(dateRange(query(""), 700)).toEqual({ ok: {} });
    expect(dateRange(query("fromdate=2025-01-05"), 700)).toEqual({ ok: { from: Date.UTC(2025, 0, 5, 5) } });
    expect(dateRange(query("toDate=2025-01-05"), 700)).toEqual({ ok: { to: Date.UTC(2025, 0, 6, 5) - 1 } });
    expect(dateRange(query("fromdate=x"), 1000)).toMatchObject({ error: { code: 1000, status: 422 } });
  });
});

describe("paging", () => {
  it.each([
    ["", 100, 0],
    ["count=1&offset=0", 1, 0],
    ["Count=500&Offset=9500", 500, 9500],
    ["count=", 100, 0],
  ])("%j", (text, count, offset) => {
    expect(paging(query(text), 700)).toEqual({ ok: { count, offset } });
  });

  it.each([
    "count=0",
    "count=-1",
    "count=501",
    "count=x",
    "count=1.5",
    "offset=-1",
    "offset=x",
    "count=500&offset=9501",
    "offset=99999999999",
  ])("%j is refused with the family's code", (text) => {
    expect(paging(query(text), 1000)).toMatchObject({ error: { code: 1000, status: 422 } });
  });
});
