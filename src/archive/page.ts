/** Pages of messages, newest first: what is asked for, and the places where they end. */
import { LAST_PLACE, lowestKey } from "./search.ts";

/** Where a page ended: the key of its last message, as text, and its id. */
export interface Place {
  key: string;
  id: string;
}

export interface Page {
  count: number;
  offset: number;
}

export interface MessagePage extends Page {
  /** Then `offset` has no meaning. */
  after?: Place;
}

/** Of what is not in the archive yet: after all that could be archived beside it. */
export function placeOfPending(id: string): Place {
  return { key: (lowestKey(id) | LAST_PLACE).toString(), id };
}

export function isAfter({ key, id }: Place, place: Place | undefined): boolean {
  if (!place) return true;
  const [a, b] = [BigInt(key), BigInt(place.key)];
  return a === b ? id < place.id : a < b;
}

/** Of what a list has, newest first, how many come before the page, and how many are looked at with it: one more says whether there are more. */
export function extentOf({ count, offset, after }: MessagePage): { skip: number; most: number } {
  return { skip: after ? 0 : offset, most: count + 1 };
}
