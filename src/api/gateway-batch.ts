/** A batch as a gateway writes it (mail/ingress.ts), read: its messages with their bytes, and a refusal where one is not understood. */
import * as z from "zod";
import type { BatchMessage, IngressResult } from "../mail/ingress.ts";

export type Refused = Extract<IngressResult, { accepted: false }>;
export const UNREADABLE = refusedResult(554, "5.6.0", "the message could not be read");

const notify = z.array(z.enum(["NEVER", "SUCCESS", "FAILURE", "DELAY"]));
const messageShape = z.object({
  messageId: z.string(),
  envelope: z.object({
    reversePath: z.string().max(320),
    recipients: z
      .array(
        z.object({
          address: z.string().min(1).max(320),
          notify: notify.optional(),
          orcpt: z.string().max(500).optional(),
        }),
      )
      .min(1),
    ret: z.enum(["FULL", "HDRS"]).optional(),
    envid: z.string().max(100).optional(),
  }),
  session: z.string().max(100),
  remoteAddress: z.string().max(64),
  stream: z.string().max(100).optional(),
  length: z.number().int().nonnegative(),
}) satisfies z.ZodType<BatchMessage>;
/** Of a message only what cuts the body: one that is not understood must not keep those beside it waiting. */
export const batchShape = z.object({
  v: z.literal(1),
  key: z.uuid(),
  serverId: z.number().int().positive().optional(),
  messages: z.array(z.looseObject({ length: z.number().int().nonnegative() })).min(1),
});
export type BatchHead = z.infer<typeof batchShape>;

export interface Part {
  message: BatchMessage;
  bytes: Uint8Array;
}

/** In the batch's order; a refusal in the place of what is not understood. */
export function cut({ messages }: BatchHead, body: Uint8Array): (Part | Refused)[] {
  let at = 0;
  const parts = messages.map((given) => {
    at += given.length;
    const message = messageShape.safeParse(given);
    return message.success
      ? { message: message.data, bytes: body.subarray(at - given.length, at) }
      : UNREADABLE;
  });
  if (at !== body.length) throw new Error("the lengths do not add up");
  return parts;
}

export function refusedResult(code: number, enhanced: string, text: string): Refused {
  return { accepted: false, reply: { code, enhanced, text } };
}
