/** `GET /messages/outbound/opens`, of all messages and of one. */
import * as z from "zod";
import { listOpens, type Open, openKey } from "../archive/opens.ts";
import type { Endpoint } from "./endpoint.ts";
import type { ReadNeeds } from "./read-needs.ts";
import { seenEndpoints } from "./seen.ts";
import { seenJson, seenSchema } from "./seen-json.ts";

export function openEndpoints(needs: ReadNeeds): Endpoint[] {
  return seenEndpoints<Open>(needs, {
    word: "Opens",
    what: "the first open of each recipient",
    schema: seenSchema.extend({
      RecordType: z.literal("Open"),
      FirstOpen: z.boolean(),
      ReadSeconds: z.int(),
    }),
    toJson: (open) => ({
      RecordType: "Open",
      FirstOpen: true,
      ...seenJson(open),
      ReadSeconds: open.readSeconds,
    }),
    list: listOpens,
    keySchema: z.tuple([z.int(), z.string(), z.string()]),
    keyOf: openKey,
  });
}
