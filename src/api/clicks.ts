/** `GET /messages/outbound/clicks`, of all messages and of one. */
import * as z from "zod";
import { type Click, clickKey, listClicks } from "../archive/clicks.ts";
import type { Endpoint } from "./endpoint.ts";
import type { ReadNeeds } from "./read-needs.ts";
import { seenEndpoints } from "./seen.ts";
import { seenJson, seenSchema } from "./seen-json.ts";

export function clickEndpoints(needs: ReadNeeds): Endpoint[] {
  return seenEndpoints<Click>(needs, {
    word: "Clicks",
    what: "the first click of each recipient on each link",
    schema: seenSchema.extend({
      RecordType: z.literal("Click"),
      ClickLocation: z.enum(["HTML", "Text"]),
      OriginalLink: z.string(),
    }),
    toJson: (click) => ({
      RecordType: "Click",
      ClickLocation: click.location,
      OriginalLink: click.link,
      ...seenJson(click),
    }),
    list: listClicks,
    keySchema: z.tuple([z.int(), z.string(), z.string(), z.string()]),
    keyOf: clickKey,
  });
}
