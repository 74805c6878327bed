/** What the deployment's own server (accounts/system-server.ts) is found or made with. */
import type { SystemServerNeeds } from "../accounts/system-server.ts";
import type { Env } from "../bindings.ts";

export function systemServerNeeds(
  env: Pick<Env, "DIRECTORY" | "EDGEPOST_SECRET" | "MAIL_DOMAIN">,
): SystemServerNeeds {
  return {
    directory: env.DIRECTORY,
    now: Date.now,
    deploymentSecret: env.EDGEPOST_SECRET,
    mailDomain: env.MAIL_DOMAIN,
  };
}
