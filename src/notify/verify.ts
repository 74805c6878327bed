/** Tries a webhook with a sample of each event that it is to be told, all at once. Nothing is stored or sent besides. */
import { TRIGGERS } from "../accounts/hooks.ts";
import type { WebhookTriggers } from "../schema/directory.ts";
import { type CallNeeds, callHook, type Hook } from "./call.ts";
import { samplePayload, type Trigger } from "./sample.ts";

/** Somebody waits for the answer. */
const TIME_LIMIT_MS = 10_000;

export interface TriedHook {
  hook: Hook;
  serverId: number;
  stream: string;
  triggers: WebhookTriggers;
}

export interface Trial {
  trigger: Trigger;
  succeeded: boolean;
  /** 0 when there was no answer. */
  status: number;
  message: string;
}

export function verifyHook(
  { hook, ...of }: TriedHook,
  needs: CallNeeds & { now(): number; newId(): string },
): Promise<Trial[]> {
  const enabled = TRIGGERS.filter((trigger) => of.triggers[trigger].Enabled);
  return Promise.all(
    enabled.map(async (trigger): Promise<Trial> => {
      const call = {
        hook,
        body: JSON.stringify(samplePayload(trigger, { ...of, now: needs.now() })),
        traceId: needs.newId(),
        retriesRemaining: 0,
        timeLimitMs: TIME_LIMIT_MS,
      };
      const answer = await callHook(call, needs);
      if ("failure" in answer) return { trigger, succeeded: false, status: 0, message: answer.failure };
      const { status } = answer;
      return status === 200
        ? { trigger, succeeded: true, status, message: "OK" }
        : { trigger, succeeded: false, status, message: `The answer was ${status} and not 200.` };
    }),
  );
}
