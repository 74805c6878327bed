/** What a stream's fields may be (§6 of the wire contract), and what a wrong one is refused with. */
import * as z from "zod";
import type { StreamType, UnsubscribeHandling } from "../accounts/streams.ts";
import { type ApiError, type Result, refused } from "./error.ts";

export const TYPES = ["Transactional", "Broadcasts", "Inbound"] as const;
export const HANDLINGS = ["None", "Postmark", "Custom"] as const;
export const MAX_NAME = 100;
export const MAX_DESCRIPTION = 1_000;
const ID = /^[a-z][a-z0-9_-]{0,29}$/;
/** Words of our own paths, so that no stream's path can be taken for another. */
const RESERVED = new Set(["all", "archive", "unarchive", "suppressions", "dump", "delete", "smtp-tokens"]);
/** A tag, a closing one, a comment or a declaration; "a < b" is none. */
const HTML = /<[a-z/!?]/i;

export const changeable = z.object({
  Name: z.string().optional(),
  Description: z.string().optional(),
  SubscriptionManagementConfiguration: z
    .object({ UnsubscribeHandlingType: z.string().optional() })
    .optional(),
});

export function idError(id: string): { error: ApiError } | undefined {
  if (id === "") return refused(1222, "The 'ID' of a message stream is required.");
  if (id.startsWith("pm-")) return refused(1233, "The 'ID' of a message stream may not begin with 'pm-'.");
  if (!ID.test(id))
    return refused(
      1227,
      "Invalid 'ID'. It begins with a letter, has lower-case letters, digits, '-' and '_', and at most 30 of them.",
    );
  return RESERVED.has(id) ? refused(1237, `The 'ID' '${id}' is reserved.`) : undefined;
}

interface Fields {
  name?: string;
  description?: string;
  unsubscribeHandling?: UnsubscribeHandling;
}

/** What creating and changing have in common; what is absent is left out. */
export function readFields(body: z.infer<typeof changeable>, type: StreamType): Result<Fields> {
  const { Name, Description, SubscriptionManagementConfiguration: configuration } = body;
  const name = Name?.trim();
  if (name === "") return refused(1223, "The 'Name' of a message stream is required.");
  if (name && name.length > MAX_NAME)
    return refused(1224, `Invalid 'Name'. It is limited to ${MAX_NAME} characters.`);
  if (Description && Description.length > MAX_DESCRIPTION)
    return refused(1231, `Invalid 'Description'. It is limited to ${MAX_DESCRIPTION} characters.`);
  if (Description && HTML.test(Description))
    return refused(1234, "Invalid 'Description'. It may not contain HTML.");
  const given = configuration?.UnsubscribeHandlingType || undefined;
  const unsubscribeHandling = given === undefined ? undefined : word(HANDLINGS, given);
  if (given !== undefined && !unsubscribeHandling)
    return refused(1240, `Invalid 'UnsubscribeHandlingType'. It must be one of ${HANDLINGS.join(", ")}.`);
  if (unsubscribeHandling && !POSSIBLE[type].includes(unsubscribeHandling))
    return refused(1239, `The handling '${unsubscribeHandling}' is not supported on a stream of this type.`);
  return {
    ok: {
      ...(name !== undefined && { name }),
      ...(Description !== undefined && { description: Description }),
      ...(unsubscribeHandling && { unsubscribeHandling }),
    },
  };
}

const POSSIBLE: Record<StreamType, UnsubscribeHandling[]> = {
  Transactional: ["None", "Custom"],
  Broadcasts: ["Postmark", "Custom"],
  Inbound: ["None"],
};

export function word<const T extends string>(words: readonly T[], text: string): T | undefined {
  return words.find((known) => known.toLowerCase() === text.toLowerCase());
}
