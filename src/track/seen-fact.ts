/** What a link of a message brought: as it is kept until it is recorded, told as little as the request told. Plain values only. */
import type { Place } from "./reader.ts";

/** Who asked, as the request tells it. */
export interface Visitor {
  userAgent: string;
  place?: Place;
  ip?: string;
}

export type SeenFact = {
  messageId: string;
  /** The recipient's place in the message. */
  index: number;
  /** Milliseconds since the epoch. */
  at: number;
} & (
  | { kind: "open"; visitor: Visitor }
  | { kind: "click"; visitor: Visitor; link: string; location: "HTML" | "Text" }
  /** One that could not be carried out at once. */
  | { kind: "unsubscribe" }
);
