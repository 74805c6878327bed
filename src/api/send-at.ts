/** `SendAt`, which is ours: when a message is to be sent. ISO 8601 with a zone, since a time without one means something else to each. */
import * as z from "zod";
import { printable } from "../mail/address.ts";
import { type Result, refused } from "./error.ts";

const MAX_AHEAD_MS = 30 * 86_400_000;
const TIME =
  /^\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)$/i;

export const SEND_AT_ERROR = "`SendAt` is no time in ISO 8601 with a zone, or more than 30 days ahead";

export const sendAtField = z.string().default("").describe("Ours: sends it then, 30 days ahead at most.");

/** Milliseconds since the epoch; undefined when it is empty. */
export function parseSendAt(text: string): Result<number | undefined> {
  const trimmed = text.trim();
  if (trimmed === "") return { ok: undefined };
  const invalid = refused(
    300,
    `Invalid 'SendAt': '${printable(text)}'. It must be a time with a zone, like 2026-02-17T07:25:01-05:00.`,
  );
  if (!TIME.test(trimmed)) return invalid;
  const day = trimmed.slice(0, 10);
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // The 30th of February is the 2nd of March to Date.
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day) return invalid;
  const zone = trimmed.match(/(Z|[+-]\d{2}:?\d{2})$/i)?.[0] ?? "Z";
  const time = trimmed.slice(11, -zone.length).replace(",", ".");
  const [hours = 0, minutes = 0, seconds = 0] = time.split(":").map(Number);
  const offset = /^z$/i.test(zone) ? 0 : Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  const local = midnight + Math.floor(((hours * 60 + minutes) * 60 + seconds) * 1_000);
  return { ok: local - (zone.startsWith("-") ? -1 : 1) * offset * 60_000 };
}

export function checkSendAt(sendAt: number | undefined, now: number): ReturnType<typeof refused> | undefined {
  if (sendAt === undefined || sendAt <= now + MAX_AHEAD_MS) return undefined;
  return refused(300, "Invalid 'SendAt'. It is limited to 30 days ahead.");
}
