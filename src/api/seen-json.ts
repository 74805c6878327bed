/** What the lists of opens and of clicks have in common on the wire (§9.3 of the wire contract): parameters, and what is told of a reader. */
import * as z from "zod";
import type { Click } from "../archive/clicks.ts";
import type { Open } from "../archive/opens.ts";
import type { SeenFilter } from "../archive/seen.ts";
import { readerJson } from "../notify/reader-json.ts";
import { fromDateParameter, pageParameters, textParameter, toDateParameter, wordParameter } from "./query.ts";
import { formatTime } from "./time.ts";

const DEFAULT_STREAM = "outbound";
const text = textParameter.optional();

export const seenQuery = z.object({
  ...pageParameters,
  recipient: text,
  tag: text,
  client_name: text,
  client_company: text,
  client_family: text,
  os_name: text,
  os_company: text,
  os_family: text,
  platform: wordParameter(["Desktop", "Mobile", "WebMail", "Unknown"]).optional(),
  country: text,
  region: text,
  city: text,
  messagestream: textParameter.default(DEFAULT_STREAM),
  fromdate: fromDateParameter.optional(),
  todate: toDateParameter.optional(),
});

export function seenFilter(query: z.infer<typeof seenQuery>): SeenFilter {
  const { tag, platform, country, region, city, fromdate: from, todate: to, messagestream: stream } = query;
  return {
    ...{ stream, tag, platform, country, region, city, from, to },
    recipient: query.recipient?.trim().toLowerCase(),
    client: { name: query.client_name, company: query.client_company, family: query.client_family },
    os: { name: query.os_name, company: query.os_company, family: query.os_family },
  };
}

const program = z.object({ Name: z.string(), Company: z.string(), Family: z.string() });

export const seenSchema = z.object({
  Client: program,
  OS: program,
  Platform: z.enum(["Desktop", "Mobile", "WebMail", "Unknown"]),
  UserAgent: z.string(),
  Geo: z.object({
    CountryISOCode: z.string().optional(),
    Country: z.string().optional(),
    RegionISOCode: z.string().optional(),
    Region: z.string().optional(),
    City: z.string().optional(),
    Zip: z.string().optional(),
    Coords: z.string().optional(),
    IP: z.string().optional(),
  }),
  MessageID: z.string(),
  MessageStream: z.string(),
  ReceivedAt: z.string(),
  Tag: z.string(),
  Recipient: z.string(),
});

export function seenJson({ reader, messageId, stream, at, tag, email }: Open | Click) {
  return {
    ...readerJson(reader),
    MessageID: messageId,
    MessageStream: stream,
    ReceivedAt: formatTime(at),
    Tag: tag ?? "",
    Recipient: email,
  };
}
