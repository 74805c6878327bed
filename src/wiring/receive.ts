/** What received mail needs: to be stored by either door (receive/receive.ts), and to be read later (receive/take.ts). */
import { waitUntil } from "cloudflare:workers";
import { acceptReport } from "../accept/probe.ts";
import { loadPolicy } from "../accounts/policy.ts";
import { systemServer } from "../accounts/system-server.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import type { EmailRoutingNeeds } from "../receive/email-routing.ts";
import type { OwnAddressNeeds } from "../receive/own-address.ts";
import type { ReceiveNeeds } from "../receive/receive.ts";
import type { TakeNeeds } from "../receive/take.ts";
import { acceptNeeds } from "./accept.ts";
import { inboundNeeds } from "./inbound.ts";
import { pathKeyOf, trackingKeyOf } from "./isolate.ts";
import { deleteObjects, putObject } from "./mail-bucket.ts";
import { eventsOf } from "./objects.ts";
import { systemServerNeeds } from "./system-server.ts";
import { unsubscribeNeeds } from "./track.ts";

/** As sendBatch takes them. */
const REFERENCES_PER_BATCH = 100;

export function emailRoutingNeeds(env: Env): EmailRoutingNeeds {
  return {
    ...ownAddressNeeds(env),
    ...receiveNeeds(env),
    now: Date.now,
    newId: () => crypto.randomUUID(),
  };
}

/** For either door. */
export function receiveNeeds(env: Env): ReceiveNeeds {
  return {
    putObject: (key, bytes) => putObject(env.MAIL, key, bytes),
    handOn(key) {
      const sent = env.RECEIVED.send({ v: 1, key });
      waitUntil(sent.catch((error) => log("received mail not handed on", { key, error: String(error) })));
    },
  };
}

/** For whatever is to know whether an address is one of this deployment's. */
export function ownAddressNeeds(env: Env): OwnAddressNeeds {
  return {
    directory: env.DIRECTORY,
    returnPathKey: () => pathKeyOf(env),
    trackingKey: () => trackingKeyOf(env),
    mailDomain: env.MAIL_DOMAIN,
  };
}

/** For what reads received mail, and for cron, which finds what was left. */
export function takeNeeds(env: Env): TakeNeeds & { handOnAll(keys: string[]): Promise<void> } {
  return {
    ...ownAddressNeeds(env),
    ...unsubscribeNeeds(env),
    newId: () => crypto.randomUUID(),
    reports: env.ARCHIVE,
    mail: env.MAIL,
    putObject: (key, bytes) => putObject(env.MAIL, key, bytes),
    deleteObjects: (keys) => deleteObjects(env.MAIL, keys),
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
    async sendProbeReport(report) {
      const policy = await loadPolicy(env.DIRECTORY, await systemServer(systemServerNeeds(env)));
      if (!policy) throw new Error("the deployment's own server is gone");
      await acceptReport(policy, report, acceptNeeds(env));
    },
    async takeInbound(taken) {
      // Judging who a message is from takes a library that nothing else wants: a start of the Worker does not wait for it.
      const { takeInbound } = await import("../receive/inbound/take.ts");
      await takeInbound(inboundNeeds(env), taken);
    },
    async handOnAll(keys) {
      for (let i = 0; i < keys.length; i += REFERENCES_PER_BATCH)
        await env.RECEIVED.sendBatch(
          keys.slice(i, i + REFERENCES_PER_BATCH).map((key) => ({ body: { v: 1, key } })),
        );
    },
  };
}
