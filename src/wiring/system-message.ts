/** Mail of the deployment itself (accounts/system-message.ts), through the gate that all mail goes through. */
import { accept } from "../accept/accept.ts";
import type { ServerPolicy } from "../accounts/policy.ts";
import { type SystemMessage, sendSystemMessage } from "../accounts/system-message.ts";
import type { Env } from "../bindings.ts";
import type { Submission } from "../mail/message.ts";
import { acceptNeeds } from "./accept.ts";
import { systemServerNeeds } from "./system-server.ts";

export function systemMessage(env: Env, message: SystemMessage): Promise<"accepted" | "inactive"> {
  const gate = acceptNeeds(env);
  const needs = {
    ...systemServerNeeds(env),
    accept: (policy: ServerPolicy, submissions: Submission[]) =>
      accept(policy, submissions, { region: "local" }, gate),
  };
  return sendSystemMessage(needs, message);
}
