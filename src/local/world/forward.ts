/** Mail whose domain's MX is the front door: the world's MX hands it on there, for every host has the same port here. */
import { domainOf } from "./behaviours.ts";
import type { Arrival } from "./inbox.ts";
import type { Outgoing } from "./replies.ts";
import { FRONT_DOOR_HOST, type Zone } from "./zone.ts";

export function forwarded({ envelope, raw }: Arrival, zone: Pick<Zone, "answer">): Outgoing[] {
  const isForDoor = (address: string) =>
    zone.answer(domainOf(address), "MX").records.some(({ data }) => data.endsWith(` ${FRONT_DOOR_HOST}`));
  return envelope.to.filter(isForDoor).map((to) => ({ envelope: { from: envelope.from, to }, raw }));
}
