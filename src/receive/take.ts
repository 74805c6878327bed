/**
 * One received message, to each of its recipients: what came back for mail of ours, a request to unsubscribe, a DMARC or TLS report, mail
 * for a server. Reading it twice changes nothing, so it is deleted only after all of that. What cannot be read is set aside with its
 * reason, for a person; what something that is away keeps from being read throws, and is read again later.
 */
import * as z from "zod";
import { decodeFrames } from "../mail/frame.ts";
import type { LinkedRecipient } from "../mail/tracking-link.ts";
import { findSubscriber, type UnsubscribeNeeds, unsubscribe } from "../track/unsubscribe.ts";
import { type AnswerNeeds, answerProbe } from "./answer-probe.ts";
import { type CameBackNeeds, takeBack, Unreadable } from "./came-back.ts";
import type { Taken } from "./inbound/take.ts";
import { unreadableKey } from "./kept.ts";
import { type OwnAddressNeeds, ownAddress } from "./own-address.ts";
import { RECEIVED, type Received } from "./receive.ts";
import { type ReportNeeds, takeReport } from "./reports/take.ts";

export interface TakeNeeds
  extends CameBackNeeds,
    AnswerNeeds,
    OwnAddressNeeds,
    UnsubscribeNeeds,
    Pick<ReportNeeds, "reports" | "newId"> {
  mail: R2Bucket;
  /** Mail for an inbound address, or a server's own domain (inbound/take.ts). */
  takeInbound(taken: Taken): Promise<void>;
}

/** Email Routing takes 25 MiB, the door less. */
const MAX_RAW_BYTES = 40 * 1024 * 1024;

/** As receive.ts writes it. */
const Shape = z.object({
  v: z.literal(1),
  envelope: z.looseObject({
    reversePath: z.string(),
    recipients: z.array(z.looseObject({ address: z.string() })),
  }),
  via: z.enum(["gateway", "email-routing"]),
  remoteAddress: z.string(),
  session: z.string(),
  receivedAt: z.number(),
});

/** One that is not there was read by another. */
export async function takeReceived(objectKey: string, needs: TakeNeeds): Promise<void> {
  const object = await needs.mail.get(objectKey);
  if (!object) return;
  const unwrapped = await unwrap(new Uint8Array(await object.arrayBuffer()));
  if ("unreadable" in unwrapped) return setAside(needs, objectKey, unwrapped.unreadable);
  const { received, raw } = unwrapped;
  const name = objectKey.slice(RECEIVED.length);
  const reasons = new Set<string>();
  // As many as the door lets one message have.
  for (const { address } of received.envelope.recipients) {
    try {
      await takeFor(address, { name, received, raw }, needs);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      reasons.add(error.message);
    }
  }
  if (reasons.size > 0) await setAside(needs, objectKey, [...reasons].join("; "));
  else await needs.mail.delete(objectKey);
}

interface Mail {
  name: string;
  received: Received;
  raw: Uint8Array;
}

async function takeFor(address: string, mail: Mail, needs: TakeNeeds): Promise<void> {
  const own = await ownAddress(address, needs);
  switch (own?.kind) {
    case undefined:
      // Taken while nobody could be asked, or not ours any more: it has no message of ours, and whoever sent it gets no answer.
      return needs.log("received mail for nobody", { name: mail.name });
    case "signed":
      return takeBack(needs, mail, own.of);
    case "complaints":
      return takeBack(needs, mail, undefined);
    case "probe":
      return answerProbe(needs, { address, of: own.of }, mail);
    case "unsubscribe":
      return unsubscribeBy(own.of, mail, needs);
    case "reports": {
      const taken = await takeReport(needs, mail.raw, address);
      if (taken.kind === "refused") throw new Unreadable(taken.why);
      return needs.log("report taken", { name: mail.name, ...taken });
    }
    case "inbound":
      return needs.takeInbound({
        key: `${RECEIVED}${mail.name}`,
        received: mail.received,
        raw: mail.raw,
        recipient: address,
      });
  }
}

/** Mail to the address in List-Unsubscribe, whatever it says: only who has the message can know it (RFC 2369 §3.2). */
async function unsubscribeBy(of: LinkedRecipient, { name, received }: Mail, needs: TakeNeeds): Promise<void> {
  const subscriber = await findSubscriber(needs, of);
  if (!subscriber) return needs.log("unsubscribing is of nobody known", { name, serverId: of.serverId });
  await unsubscribe(needs, subscriber, received.receivedAt);
}

async function unwrap(
  bytes: Uint8Array,
): Promise<{ received: Received; raw: Uint8Array } | { unreadable: string }> {
  const whole = async function* () {
    yield bytes;
  };
  try {
    for await (const { header, body } of decodeFrames(whole(), MAX_RAW_BYTES))
      return { received: Shape.parse(header) as Received, raw: body };
    return { unreadable: "an empty object" };
  } catch (error) {
    return { unreadable: String(error).slice(0, 300) };
  }
}

const MAX_REASON = 500;

/** Kept as it is for a person to look at; put back under `received/`, it is read again. */
export async function setAside(
  { mail, log, now }: Pick<TakeNeeds, "mail" | "log" | "now">,
  objectKey: string,
  why: string,
): Promise<void> {
  const reason = why.slice(0, MAX_REASON);
  const object = await mail.get(objectKey);
  if (!object) return;
  const to = unreadableKey(now(), objectKey.slice(RECEIVED.length));
  await mail.put(to, await object.arrayBuffer(), { customMetadata: { reason } });
  await mail.delete(objectKey);
  log("received mail cannot be read", { to, reason });
}
