/** The Worker: each of its doors is one line to a room. */
import { BulkObject } from "./accept/bulk.ts";
import { OutboxObject } from "./accept/outbox.ts";
import { ScheduleObject } from "./accept/schedule.ts";
import { apiApp } from "./api/app.ts";
import { isTrackingPath, trackingDoor } from "./api/tracking.ts";
import type { Env } from "./bindings.ts";
import { probeDaily } from "./cron/probe-daily.ts";
import { sweepAll } from "./cron/sweep.ts";
import { deliver } from "./deliver/consume.ts";
import { DestinationObject } from "./deliver/destination.ts";
import { erase } from "./erase/erase.ts";
import { log } from "./log.ts";
import { HookObject } from "./notify/hook.ts";
import { EventsObject } from "./notify/log.ts";
import { readGivenUp, readReceived } from "./receive/consume.ts";
import { receiveRouted } from "./receive/email-routing.ts";
import { sweepAgain } from "./receive/inbound/again.ts";
import { sweepReceived } from "./receive/left-over.ts";
import { SeenObject } from "./track/seen.ts";
import { apiNeeds } from "./wiring/api.ts";
import { bulkNeeds } from "./wiring/bulk.ts";
import { deliverNeeds, destinationNeeds } from "./wiring/deliver.ts";
import { eraseNeeds } from "./wiring/erase.ts";
import { logNeeds } from "./wiring/events.ts";
import { hookNeeds } from "./wiring/hook.ts";
import { outboxNeeds } from "./wiring/outbox.ts";
import { emailRoutingNeeds, takeNeeds } from "./wiring/receive.ts";
import { scheduleNeeds } from "./wiring/schedule.ts";
import { seenNeeds, trackingDoorNeeds } from "./wiring/track.ts";

export class Outbox extends OutboxObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, outboxNeeds(env));
  }
}

export class Bulk extends BulkObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, bulkNeeds(env));
  }
}

export class Schedule extends ScheduleObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, scheduleNeeds(env));
  }
}

export class Destination extends DestinationObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, destinationNeeds());
  }
}

export class Events extends EventsObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, logNeeds(env));
  }
}

export class Seen extends SeenObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, seenNeeds(env));
  }
}

export class Hook extends HookObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, hookNeeds(env));
  }
}

let app: ReturnType<typeof apiApp> | undefined;
let links: ReturnType<typeof trackingDoor> | undefined;

export default {
  fetch(request, env, ctx) {
    if (isTrackingPath(new URL(request.url).pathname)) {
      links ??= trackingDoor(trackingDoorNeeds(env));
      return links(request);
    }
    app ??= apiApp(apiNeeds(env));
    return app.fetch(request, env, ctx);
  },

  async queue(batch, env, ctx) {
    switch (batch.queue) {
      case "edgepost-received":
        return readReceived(batch.messages, takeNeeds(env));
      case "edgepost-received-dead":
        return readGivenUp(batch.messages, takeNeeds(env));
      case "edgepost-deliveries-dead":
        // The Outbox knows these recipients and hands over again: this is only worth a line in the log.
        for (const message of batch.messages) log("job given up by the queue", { job: message.body });
        return;
      default:
        return deliver(batch.messages, deliverNeeds(env, ctx));
    }
  },

  email: (message, env) => receiveRouted(message, emailRoutingNeeds(env)),

  async scheduled({ scheduledTime }, env, ctx) {
    // None is to wait for another, nor to end with it.
    ctx.waitUntil(erase(eraseNeeds(env)));
    ctx.waitUntil(sweepReceived(takeNeeds(env)));
    ctx.waitUntil(sweepAgain(env.ARCHIVE, takeNeeds(env)));
    ctx.waitUntil(probeDaily(scheduledTime, env, apiNeeds(env)));
    await sweepAll(env);
  },
} satisfies ExportedHandler<Env>;
