/**
 * Records what links of a server's messages brought: first in the archive, then in the event log. May run again with the same
 * facts: what is numbered is counted once, and events have the same names. What belongs to no message that is kept is dropped.
 */

import type { MailEvent } from "../mail/event.ts";
import { eventId } from "../mail/event-id.ts";
import { type NewClick, recordClicks } from "./click.ts";
import { findLinkedMessages } from "./linked.ts";
import { type NewOpen, recordOpens } from "./open.ts";
import { readerOf } from "./reader.ts";
import type { SeenFact } from "./seen-fact.ts";
import { type UnsubscribeNeeds, unsubscribe } from "./unsubscribe.ts";

export interface RecordSeenNeeds extends UnsubscribeNeeds {
  tellEvents(serverId: number, events: MailEvent[]): Promise<void>;
}

/** With numbers that rise, or none. */
type Told = SeenFact & { number?: number };

export async function recordSeen(needs: RecordSeenNeeds, serverId: number, facts: Told[]): Promise<void> {
  const messages = await findLinkedMessages(
    needs,
    serverId,
    facts.map((fact) => fact.messageId),
  );
  const opens: (NewOpen & { metadata: Record<string, string> })[] = [];
  const clicks: (NewClick & { metadata: Record<string, string> })[] = [];
  for (const fact of facts) {
    const message = messages.get(fact.messageId);
    const email = message?.recipients[fact.index];
    if (!message || !email) continue;
    const { stream, tag, metadata } = message;
    if (fact.kind === "unsubscribe") {
      const cause = { messageId: fact.messageId, tag, metadata };
      await unsubscribe(needs, { serverId, stream, email, cause }, fact.at);
      continue;
    }
    const { messageId, at, number, visitor } = fact;
    const of = { serverId, messageId, email, stream, tag, metadata, at, ...(number && { number }) };
    if (fact.kind === "open") opens.push({ ...of, reader: readerOf("opened", visitor) });
    else {
      const { link, location } = fact;
      clicks.push({ ...of, link, location, reader: readerOf("clicked", visitor) });
    }
  }
  const archive = needs.archive(serverId);
  const firstOpens = await recordOpens(archive, opens, markOf(serverId, opens));
  const firstClicks = await recordClicks(archive, clicks, markOf(serverId, clicks));
  const events = await Promise.all([
    ...opens.map((open, i) => openEvent(open, firstOpens[i] ?? false)),
    ...clicks.map((click, i) => clickEvent(click, firstClicks[i] ?? false)),
  ]);
  if (events.length > 0) await needs.tellEvents(serverId, events);
}

function markOf(
  serverId: number,
  facts: { number?: number }[],
): { serverId: number; upto: number } | undefined {
  const upto = Math.max(0, ...facts.map((fact) => fact.number ?? 0));
  return upto > 0 ? { serverId, upto } : undefined;
}

async function openEvent(
  { messageId, email, at, stream, tag, metadata, reader }: NewOpen & { metadata: Record<string, string> },
  isFirst: boolean,
): Promise<MailEvent> {
  const id = await eventId(messageId, "Open", email, at);
  // How long it was on show a picture that is all there at once cannot tell.
  return { id, at, stream, messageId, email, tag, metadata, type: "Open", isFirst, readSeconds: 0, reader };
}

async function clickEvent(
  { metadata, link, location, reader, ...of }: NewClick & { metadata: Record<string, string> },
  isFirst: boolean,
): Promise<MailEvent> {
  const { messageId, email, at, stream, tag } = of;
  const id = await eventId(messageId, "Click", email, link, at);
  const event = { id, at, stream, messageId, email, tag, metadata };
  return { ...event, type: "Click", isFirst, location, link, reader };
}
