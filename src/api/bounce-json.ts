/** A bounce as Postmark's API shows it (§8.1 of the wire contract), and the schemas that say so. */
import * as z from "zod";
import type { Bounce } from "../archive/bounces.ts";
import { BOUNCE_TYPES, bounceTypeOf } from "../smtp/bounce-types.ts";
import { formatTime } from "./time.ts";

export const bounceType = z.enum(Object.keys(BOUNCE_TYPES) as [string, ...string[]]);
export const listedBounce = z.object({
  RecordType: z.literal("Bounce"),
  ID: z.int(),
  Type: bounceType,
  TypeCode: z.int(),
  Name: z.string(),
  Tag: z.string().optional(),
  MessageID: z.string(),
  ServerID: z.int(),
  MessageStream: z.string(),
  Description: z.string(),
  Details: z.string(),
  Email: z.string(),
  From: z.string(),
  BouncedAt: z.string(),
  DumpAvailable: z.boolean(),
  Inactive: z.boolean(),
  CanActivate: z.boolean(),
  Subject: z.string(),
});
export const shownBounce = listedBounce.extend({ Content: z.string() });

/** All but a complaint: what the recipient said themselves is not ours to take back. */
export function canActivate({ type }: Pick<Bounce, "type">): boolean {
  return type !== "SpamComplaint";
}

export function bounceJson(bounce: Bounce, hasDump: boolean): z.infer<typeof listedBounce> {
  const { code, name, description } = bounceTypeOf(bounce.type);
  return {
    RecordType: "Bounce",
    ID: bounce.id,
    Type: bounce.type,
    TypeCode: code,
    Name: name,
    ...(bounce.tag && { Tag: bounce.tag }),
    MessageID: bounce.messageId,
    ServerID: bounce.serverId,
    MessageStream: bounce.stream,
    Description: description,
    Details: bounce.details,
    Email: bounce.email,
    From: bounce.fromEmail,
    BouncedAt: formatTime(bounce.bouncedAt),
    DumpAvailable: hasDump,
    Inactive: bounce.inactive,
    CanActivate: canActivate(bounce),
    Subject: bounce.subject,
  };
}
