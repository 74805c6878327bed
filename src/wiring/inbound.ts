/** What mail for a server's own people needs (receive/inbound/take.ts). */
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import type { InboundNeeds } from "../receive/inbound/take.ts";
import { putObject } from "./mail-bucket.ts";
import { eventsOf } from "./objects.ts";

export function inboundNeeds(env: Env): InboundNeeds {
  const password = env.SPAM_SCANNER_PASSWORD;
  return {
    log,
    directory: env.DIRECTORY,
    archive: () => env.ARCHIVE,
    mailDomain: env.MAIL_DOMAIN,
    dnsUrl: env.DNS_OVER_HTTPS,
    fetchDns: (url, init) => fetch(url, init),
    ...(env.SPAM_SCANNER && {
      scanner: {
        url: env.SPAM_SCANNER,
        ...(password && { password }),
        fetch: (url: string, init: RequestInit) => fetch(url, init),
      },
    }),
    putObject: (key, bytes) => putObject(env.MAIL, key, bytes),
    async putPieces(key, length, pieces) {
      const { readable, writable } = new FixedLengthStream(length);
      const feed = async () => {
        const writer = writable.getWriter();
        try {
          for (const piece of pieces) await writer.write(piece);
          await writer.close();
        } catch (error) {
          // Who reads is not to wait for the rest.
          await writer.abort(error);
          throw error;
        }
      };
      // When R2 refuses, what feeds it is refused too.
      await Promise.all([env.MAIL.put(key, readable), feed()]);
    },
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
  };
}
