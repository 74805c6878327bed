/**
 * `POST /bounces/probe`, ours: whether what comes back is heard of. A probe goes out as the server's mail does, to an address of the
 * deployment that takes it and then reports it undeliverable; that report has to come back by mail, and to become a bounce and an event.
 * What is missing after a minute is said in words. Nothing is kept for it: all of this is read off what mail leaves anyway.
 */
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import { type BounceMark, bouncesOfMessage } from "../archive/bounces.ts";
import type { Submission } from "../mail/message.ts";
import type { TransportName } from "../mail/outcome.ts";
import type { MessageRecord } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, Unavailable } from "./error.ts";
import type { EventsNeeds } from "./events.ts";
import { fromArchive, type ReadNeeds, readMessage } from "./read-needs.ts";
import { formatTime } from "./time.ts";

export interface ProbeNeeds extends ReadNeeds, EventsNeeds {
  /** Signed: whoever gets mail there knows which server's probe it is. */
  probeAddress(serverId: number): Promise<string>;
  /** Its MessageID; undefined when nobody could accept it now. */
  acceptProbe(
    policy: ServerPolicy,
    probe: { submission: Submission; transport?: TransportName },
    request: Request,
  ): Promise<string | undefined>;
  mailDomain: string;
}

const NOT_FOUND = apiError(1001, "There is no such probe.");
/** What nobody has heard of by then is missing. */
const PATIENCE_MS = 60_000;
const TAG = "bounce-probe";
const family = "Bounces";

const step = z.object({
  Name: z.enum(["Accepted", "Sent", "Returned", "Told"]),
  State: z.enum(["Done", "Waiting", "Failed", "Missing"]),
  At: z.string().optional(),
  Details: z.string(),
});
const shape = z.object({
  ID: z.string(),
  State: z.enum(["Waiting", "Working", "Broken"]),
  Steps: z.array(step),
  Advice: z.string(),
});
type Step = z.infer<typeof step>;

/** Sends one, and says how far it has come, which is not far. */
export async function sendProbe(
  needs: ProbeNeeds,
  policy: ServerPolicy,
  transport: TransportName | undefined,
  request: Request,
) {
  const to = await needs.probeAddress(policy.serverId);
  const submission = submissionTo(to, policy, needs.mailDomain);
  const id = await needs.acceptProbe(policy, { submission, ...(transport && { transport }) }, request);
  if (id === undefined) throw new Unavailable("The probe cannot be accepted at the moment.");
  return stateOf(needs, policy.serverId, id);
}

export function probeEndpoints(needs: ProbeNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "POST",
        path: "/bounces/probe",
        family,
        summary: "Sends a message that must bounce, to see whether its bounce comes back",
        description:
          "By the server's own order of transports, or by `Transport` alone. It counts as a message of the default stream; its bounce suppresses nobody. Ask for its `ID` after a minute.",
        scope: "full",
        body: { schema: z.object({ Transport: z.enum(["gateway", "smarthost", "cloudflare"]).optional() }) },
        response: shape,
      },
      async ({ policy, body, request }) => ({ ok: await sendProbe(needs, policy, body.Transport, request) }),
    ),
    serverEndpoint(
      {
        method: "GET",
        path: "/bounces/probe/:id",
        family,
        summary: "Shows how far a probe has come, and what is missing",
        scope: "read",
        response: shape,
        errors: { 1001: "There is no such probe" },
      },
      async ({ policy, params }) => {
        const state = await stateOf(needs, policy.serverId, params.id ?? "");
        return state ? { ok: state } : { error: NOT_FOUND };
      },
    ),
  ];
}

/** From a domain that the server's mail is from: its bounces go to that domain's return path. */
function submissionTo(email: string, { domains }: ServerPolicy, mailDomain: string): Submission {
  return {
    from: { email: `no-reply@${domains[0] ?? mailDomain}`, name: "" },
    to: [{ email, name: "" }],
    cc: [],
    bcc: [],
    replyTo: [],
    subject: "Bounce probe",
    textBody: "This message is to come back as undeliverable.",
    htmlBody: "",
    tag: TAG,
    headers: [{ name: "Auto-Submitted", value: "auto-generated" }],
    metadata: {},
    attachments: [],
    trackOpens: false,
    trackLinks: "None",
    stream: "outbound",
  };
}

export async function stateOf(needs: ProbeNeeds, serverId: number, id: string) {
  const record = (await readMessage(needs, serverId, id))?.record;
  if (!record || record.tag !== TAG || !record.recipients[0]?.email.startsWith("p-")) return undefined;
  const bounces = await fromArchive(bouncesOfMessage(needs.archive(serverId), serverId, record.id));
  const isTold = bounces.length > 0 && (await isInLog(needs.events(serverId), record));
  return describe(record, { bounces, isTold, now: needs.now() });
}

/** A read goes through some packs of the log only: in so many is what comes behind a probe. */
const STEPS = 40;
/** Events have the times of what they tell, which are not quite in the order of the log. */
const SLACK_MS = 60_000;

async function isInLog(
  log: ReturnType<EventsNeeds["events"]>,
  { id: messageId, receivedAt }: MessageRecord,
): Promise<boolean> {
  // The log may be of weeks: where the probe was accepted is found by halves.
  let after = 0;
  let end = await log.head();
  while (after < end) {
    const middle = Math.floor((after + end) / 2);
    const [event] = (await log.read({ after: middle, limit: 1 })).events;
    if (event && event.at < receivedAt - SLACK_MS) after = Math.max(middle + 1, event.seq);
    else end = middle;
  }
  for (let step = 0; step < STEPS; step++) {
    const read = await log.read({ after, messageId, types: ["Bounce"], limit: 1 });
    if (read.events.length > 0) return true;
    if (!read.more) return false;
    after = read.next;
  }
  return false;
}

/** Pure. */
export function describe(
  record: MessageRecord,
  { bounces, isTold, now }: { bounces: BounceMark[]; isTold: boolean; now: number },
): z.infer<typeof shape> {
  const sent = sentStep(record);
  const isSent = sent.State === "Done";
  const back = bounces.some((bounce) => bounce.dump !== null);
  const isLate = now - (record.recipients[0]?.at ?? record.receivedAt) > PATIENCE_MS;
  const later = (done: boolean): Step["State"] => (done ? "Done" : isSent && isLate ? "Missing" : "Waiting");
  const steps: Step[] = [
    { Name: "Accepted", State: "Done", At: formatTime(record.receivedAt), Details: "" },
    sent,
    { Name: "Returned", State: later(back), Details: back ? "The report came back and is a bounce." : "" },
    { Name: "Told", State: later(isTold && back), Details: isTold && back ? "Its event is in the log." : "" },
  ];
  const broken = steps.find(({ State }) => State === "Failed" || State === "Missing");
  const isDone = steps.every(({ State }) => State === "Done");
  return {
    ID: record.id,
    State: isDone ? "Working" : broken ? "Broken" : "Waiting",
    Steps: steps,
    Advice: broken ? adviceOn(broken, record) : "",
  };
}

function sentStep({ recipients }: MessageRecord): Step {
  const [recipient] = recipients;
  const last = recipient?.attempts.at(-1);
  const said = last ? replyText(last.reply) || last.reason : (recipient?.reason ?? "");
  const by = last ? `by ${last.transport}${last.hop.host && ` to ${last.hop.host}`}: ${said}` : said;
  switch (recipient?.state) {
    case "delivered":
      return { Name: "Sent", State: "Done", At: formatTime(recipient.at), Details: by };
    case "waiting":
      return { Name: "Sent", State: "Waiting", Details: by };
    default:
      return { Name: "Sent", State: "Failed", Details: by || (recipient?.state ?? "") };
  }
}

function adviceOn({ Name }: Step, { recipients }: MessageRecord): string {
  const [, domain] = recipients[0]?.email.split("@") ?? [];
  switch (Name) {
    case "Sent":
      return `The probe did not get to ${domain}. Its MX records must name the gateways, or Email Routing with a catch-all rule to the Worker, and a gateway must be able to reach them.`;
    case "Returned":
      return `The mail server of ${domain} took the probe, and no report has come back within a minute. If that server is not this deployment's (see where it was sent), correct the MX records. Otherwise look for "probe" and "received mail" in the Worker's log: the report could not be sent to the return path, or not be read.`;
    default:
      return "The bounce is recorded, and the event log does not have it: look for errors of the Events object in the Worker's log.";
  }
}
