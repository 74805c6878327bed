/**
 * The gate for requests that may have messages for later: those go to the server's schedule, the others to an Outbox as always, and
 * the caller has one answer. What has a time goes to the schedule whatever that time is, so that a repeat of the request is split as
 * the first was.
 *
 * The schedule is asked first, because what lies there can be taken back: when the Outboxes then refuse, all is refused. With an
 * idempotency key each gives its first answer again, and the Outbox is asked even when it gets nothing, so that it knows the key
 * and refuses another request with it. After a crash between the two a repeat with the key finishes the request; without one its
 * scheduled messages are there twice, as any message is whose answer was lost.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { compose } from "../compose/compose.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { Submission } from "../mail/message.ts";
import { formatMessageId, type Region } from "../mail/message-id.ts";
import {
  type AcceptNeeds,
  type AcceptOptions,
  type AcceptOutcome,
  accept,
  describeSubmission,
} from "./accept.ts";
import type { PlanReply, SchedulePort } from "./schedule.ts";
import { scheduledPlace } from "./schedule-release.ts";
import type { Planned } from "./schedule-store.ts";

/** A call between objects carries 32 MiB; a batch may have more. */
const CALL_BYTES = 16_000_000;

export interface ScheduleGateNeeds extends AcceptNeeds {
  schedule(serverId: number): Pick<SchedulePort, "plan" | "withdraw">;
}

/** What the schedule has of a request, and the keys under which it remembers its answers. */
interface Taken {
  results: Accepted[];
  /** Also of those whose answer was lost, which it may have. */
  ids: string[];
  keys: string[];
}

/** Accepts all of the submissions or none; those that have a `sendAt` are sent then. */
export async function acceptAny(
  policy: ServerPolicy,
  submissions: Submission[],
  options: AcceptOptions,
  needs: ScheduleGateNeeds,
): Promise<AcceptOutcome> {
  const later = submissions.filter((s) => s.sendAt !== undefined);
  if (later.length === 0) return accept(policy, submissions, options, needs);
  const planned = await planAll(policy, later, options, needs);
  if (!("results" in planned)) return planned;
  const now = submissions.filter((s) => s.sendAt === undefined);
  const isAsked = now.length > 0 || options.idempotency !== undefined;
  const sent = isAsked
    ? await accept(policy, now, options, needs)
    : ({ kind: "accepted", results: [] } as const);
  if (sent.kind !== "accepted") {
    // With a key, "unavailable" may have been accepted: its repeat finds both as they are.
    if (sent.kind === "conflict" || !options.idempotency) await withdraw(policy, planned, needs);
    return sent;
  }
  // What was valid at first and is now may differ: the door sees by their number that it cannot tell whose results these are.
  if (planned.results.length !== later.length || sent.results.length !== now.length)
    return {
      kind: "accepted",
      results: [...planned.results, ...sent.results].slice(0, submissions.length - 1),
    };
  const ofLater = planned.results.values();
  const ofNow = sent.results.values();
  const results = submissions.map((s) => (s.sendAt === undefined ? ofNow : ofLater).next().value as Accepted);
  return { kind: "accepted", results };
}

async function planAll(
  policy: ServerPolicy,
  submissions: Submission[],
  { region, idempotency }: AcceptOptions,
  needs: ScheduleGateNeeds,
): Promise<Exclude<AcceptOutcome, { kind: "accepted" }> | Taken> {
  const { serverId } = policy;
  const port = needs.schedule(serverId);
  const taken: Taken = { results: [], ids: [], keys: [] };
  const calls = inCalls(submissions.map((s) => plan(policy, s, region, needs)));
  for (const [n, messages] of calls.entries()) {
    // The same request is cut in the same places, so each of its calls has a key of its own.
    const own = idempotency && { ...idempotency, key: `${n} ${idempotency.key}` };
    taken.ids.push(...messages.map((m) => m.head.id));
    const reply = await port
      .plan({ serverId, region, messages, idempotency: own })
      .catch((error): PlanReply => {
        needs.log("schedule failed", { serverId, error: String(error) });
        return { kind: "overloaded" };
      });
    if (reply.kind !== "accepted") {
      if (reply.kind === "conflict" || !idempotency) await withdraw(policy, taken, needs);
      return reply.kind === "conflict" ? reply : { kind: "unavailable", retryAfterSeconds: 2 };
    }
    taken.results.push(...reply.results);
    taken.ids.push(...reply.results.flatMap((r) => (r.ok ? [r.messageId] : [])));
    if (own) taken.keys.push(own.key);
  }
  return taken;
}

/** Composing it now, for nothing, shows that it can be composed then, when nobody is there to be told. */
function plan(policy: ServerPolicy, submission: Submission, region: Region, needs: AcceptNeeds): Planned {
  const now = needs.now();
  const sendAt = Math.max(submission.sendAt ?? now, now);
  // Lists are in the order of ids: a message is to stand where its time is.
  const id = formatMessageId({ ...scheduledPlace(region), acceptedAt: sendAt }, needs.randomBytes(8));
  const { mailDomain } = needs;
  compose(submission, { messageId: id, acceptedAt: sendAt, messageIdDomain: mailDomain });
  const described = describeSubmission(policy, submission, { id, acceptedAt: sendAt, mailDomain });
  const summary = { ...described.summary, scheduled: { at: now, sendAt } };
  const body = new TextEncoder().encode(JSON.stringify(submission));
  return { head: { ...described, summary }, sendAt, body };
}

function inCalls(planned: Planned[]): Planned[][] {
  const calls: Planned[][] = [];
  let bytes = 0;
  for (const message of planned) {
    bytes += message.body.length;
    const last = calls.at(-1);
    if (last && bytes <= CALL_BYTES) last.push(message);
    else {
      calls.push([message]);
      bytes = message.body.length;
    }
  }
  return calls;
}

/** Never rejects: what could not be taken back is sent at its time, though its sender was told that it is not. */
async function withdraw(
  { serverId }: ServerPolicy,
  { ids, keys }: Taken,
  needs: ScheduleGateNeeds,
): Promise<void> {
  try {
    await needs.schedule(serverId).withdraw(ids, keys);
  } catch (error) {
    needs.log("scheduled messages not taken back", { serverId, ids, error: String(error) });
  }
}
