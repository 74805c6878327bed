/** Where a request came from. */
import type { Region } from "../mail/message-id.ts";
import { regionOf } from "../mail/shards.ts";

export function regionOfRequest(request: Request): Region {
  return regionOf(request.cf as { continent?: string; longitude?: string } | undefined);
}
