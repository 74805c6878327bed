/**
 * Each day a probe goes out through each transport of the deployment, by its own server, without anybody's asking; a few minutes later it is
 * looked at, and what has not come back is an alarm in the log, with what is missing in words. Nothing is kept for it: which were sent is
 * read from the archive.
 */
import { loadPolicy } from "../accounts/policy.ts";
import { systemServer } from "../accounts/system-server.ts";
import { type ProbeNeeds, sendProbe, stateOf } from "../api/probe.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { parseMessageId } from "../mail/message-id.ts";
import type { TransportName } from "../mail/outcome.ts";
import { within } from "../mail/within.ts";
import { systemServerNeeds } from "../wiring/system-server.ts";

const DAY_MS = 86_400_000;
/** Of the day, UTC: off the hour, when others' jobs run. */
const AT_MS = (3 * 60 + 17) * 60_000;
/** Far longer than a probe takes. */
const LOOK_AFTER_MS = 5 * 60_000;
/** Sending and looking take a second: what has not answered by then is away, which is an alarm too. */
const PATIENCE_MS = 60_000;
/** The deployment sends little of its own: among its last are those of a few minutes ago. */
const MAX_LOOKED_AT = 200;

type Settings = Pick<
  Env,
  "DIRECTORY" | "ARCHIVE" | "EDGEPOST_SECRET" | "MAIL_DOMAIN" | "GATEWAYS" | "SMARTHOST" | "PROBE_DAILY"
>;

/** Cron's, each minute; `at` is the minute that it is for. */
export async function probeDaily(at: number, env: Settings, needs: ProbeNeeds): Promise<void> {
  if (env.PROBE_DAILY !== "1") return;
  const minute = (ms: number) => Math.floor((ms % DAY_MS) / 60_000);
  try {
    if (minute(at) === minute(AT_MS)) await within(PATIENCE_MS, send(env, needs));
    if (minute(at) === minute(AT_MS + LOOK_AFTER_MS)) await within(PATIENCE_MS, look(at, env, needs));
  } catch (error) {
    // Nobody else would say that today's probes were not seen to come back.
    log("probes not looked at", { alarm: true, why: String(error) });
  }
}

async function send(env: Settings, needs: ProbeNeeds): Promise<void> {
  const policy = await loadPolicy(env.DIRECTORY, await systemServer(systemServerNeeds(env)));
  if (!policy) return log("no probe sent", { alarm: true, why: "the deployment's own server is gone" });
  for (const transport of transportsOf(env)) {
    try {
      await sendProbe(needs, policy, transport, new Request("https://cron.invalid/"));
    } catch (error) {
      // The others are tried all the same.
      log("no probe sent", { alarm: true, transport, why: String(error) });
    }
  }
}

async function look(at: number, env: Settings, needs: ProbeNeeds): Promise<void> {
  const serverId = await systemServer(systemServerNeeds(env));
  const { results } = await env.ARCHIVE.prepare(
    "SELECT id FROM messages WHERE server_id = ? ORDER BY id DESC LIMIT ?",
  )
    .bind(serverId, MAX_LOOKED_AT)
    .all<{ id: string }>();
  const ids = results
    .map(({ id }) => id)
    .filter((id) => (parseMessageId(id)?.acceptedAt ?? 0) > at - 2 * LOOK_AFTER_MS);
  let found = 0;
  for (const id of ids) {
    const state = await stateOf(needs, serverId, id);
    if (!state) continue;
    found++;
    const waitsFor = state.Steps.find((step) => step.State !== "Done");
    const fields = { id, state: state.State };
    log(
      "probe",
      state.State === "Working" ? fields : { ...fields, alarm: true, why: state.Advice || waitsFor?.Details },
    );
  }
  const missing = transportsOf(env).length - found;
  if (missing > 0) log("probes are not in the archive", { alarm: true, missing });
}

/** Cloudflare's own sending is left out: its return path is not ours. */
function transportsOf({ GATEWAYS, SMARTHOST }: Settings): TransportName[] {
  const gateways = JSON.parse(GATEWAYS || "[]") as unknown[];
  return [...(gateways.length > 0 ? ["gateway" as const] : []), ...(SMARTHOST ? ["smarthost" as const] : [])];
}
