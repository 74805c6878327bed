/** What is left in a hook's log of calls when a person, or a stream, is removed from it. Pure, but for what it has seen of the log. */
import type { ToErase } from "../mail/erasure.ts";
import type { LoggedCall } from "./hook-store.ts";

export interface CallForgetting {
  /** To be shown each call before `left` is asked of any of them. */
  look(call: LoggedCall): void;
  /** The call itself when it is not meant. */
  left(call: LoggedCall): LoggedCall;
}

export function forgettingCalls({ what, until }: ToErase): CallForgetting {
  const isMeant = (call: LoggedCall) =>
    call.eventAt <= until && (what.kind !== "stream" || call.stream === what.stream);
  if (what.kind !== "person")
    return {
      look: () => undefined,
      left: (call) => (isMeant(call) ? { ...unsaid(call), email: "" } : call),
    };
  const { email } = what;
  /** Messages that went to the person too: what is said of them may be about the person. */
  const shared = new Set<string>();
  return {
    look(call) {
      if (call.email === email && call.messageId !== "") shared.add(call.messageId);
    },
    left(call) {
      if (!isMeant(call) || !(call.email === email || shared.has(call.messageId))) return call;
      return call.email === email ? { ...unsaid(call), email: "" } : unsaid(call);
    },
  };
}

function unsaid({ body: _, reply: __, ...call }: LoggedCall): LoggedCall {
  return call;
}
