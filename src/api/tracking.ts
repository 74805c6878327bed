/**
 * The doors behind the links in messages: `/o/…` the picture, `/c/…` a click, `/u/…` unsubscribing. For people and their mail programs: no
 * token, at any host that leads here, and what fails is a page. A reader waits a moment at most for what they did to be kept, and
 * nothing that is away keeps them from where they go. Addresses and targets are not logged.
 */
import { type LinkedRecipient, parseClick, parseOpen, parseUnsubscribe } from "../mail/tracking-link.ts";
import { within } from "../mail/within.ts";
import type { Place } from "../track/reader.ts";
import type { SeenFact, Visitor } from "../track/seen-fact.ts";
import { dropBody } from "./json-body.ts";
import { notALink, pageResponse } from "./tracking-page.ts";
import { showUnsubscribe, type UnsubscribeDoorNeeds, unsubscribeOrNot } from "./unsubscribe.ts";

export interface TrackingDoorNeeds extends UnsubscribeDoorNeeds {
  key(): Promise<CryptoKey>;
  /** Records it at once, without keeping it before; throws when what it takes is away. */
  recordNow(serverId: number, fact: SeenFact): Promise<void>;
  waitUntil(promise: Promise<unknown>): void;
}

/** Mostly kept within a few; who waits longer than this goes on, and it is kept beside. */
const KEEP_MS = 300;
/** Who does not answer by then is away. Both together end before the platform cuts off what goes on behind an answer, after 30 s. */
const SEE_MS = 5_000;
const RECORD_MS = 10_000;
/** Longer ones are no program's (track/reader.ts cuts there too). */
const MAX_USER_AGENT = 500;
/** Of a fact that could not be kept: so many at once are recorded straight away. More would be a crowd before a database that is away. */
const MAX_AT_ONCE = 20;
/** One transparent point. */
const PICTURE = Uint8Array.from(
  atob("R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="),
  (character) => character.charCodeAt(0),
);
/** Another request is another reading, and where a link was is told to nobody. */
const HEADERS = {
  "Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0",
  "Referrer-Policy": "no-referrer",
  "X-Robots-Tag": "noindex, nofollow",
};

/** Whether the path is one of these doors'. */
export function isTrackingPath(path: string): boolean {
  return /^\/[ocu]\//.test(path);
}

export function trackingDoor(needs: TrackingDoorNeeds): (request: Request) => Promise<Response> {
  let atOnce = 0;

  /** Never throws. */
  async function keep(serverId: number, fact: SeenFact): Promise<void> {
    try {
      await within(SEE_MS, needs.see(serverId, fact));
    } catch (error) {
      const { kind, messageId } = fact;
      const isTried = atOnce < MAX_AT_ONCE;
      needs.log("seen not kept", { serverId, messageId, kind, isTried, error: String(error) });
      if (!isTried) return;
      atOnce++;
      try {
        await within(RECORD_MS, needs.recordNow(serverId, fact));
      } catch (cause) {
        // Two places have failed. The reader has gone on, and will not come back for this.
        needs.log("seen lost", { serverId, messageId, kind, error: String(cause) });
      } finally {
        atOnce--;
      }
    }
  }

  /** A moment, in which it is mostly kept; the rest of the way goes beside the answer. */
  async function keepSoon(serverId: number, fact: SeenFact): Promise<void> {
    const kept = keep(serverId, fact);
    needs.waitUntil(kept);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, KEEP_MS);
    });
    await Promise.race([kept, late]);
    clearTimeout(timer);
  }

  async function open(request: Request, name: string): Promise<Response> {
    const linked = await parseOpen(await needs.key(), name);
    if (!linked) return notALink();
    if (request.method === "GET") {
      const { serverId, ...of } = fact(linked, request, needs.now());
      await keepSoon(serverId, { ...of, kind: "open" });
    }
    const headers = { ...HEADERS, "Content-Type": "image/gif", "Content-Length": String(PICTURE.length) };
    return new Response(request.method === "HEAD" ? null : PICTURE, { headers });
  }

  async function click(request: Request, token: string, written: string): Promise<Response> {
    const linked = await parseClick(await needs.key(), token, written);
    if (!linked) return notALink();
    const { target, location } = linked;
    if (request.method === "GET") {
      const { serverId, ...of } = fact(linked, request, needs.now());
      await keepSoon(serverId, { ...of, kind: "click", link: target, location });
    }
    return new Response(null, { status: 302, headers: { ...HEADERS, Location: headerUrl(target) } });
  }

  async function answer(request: Request): Promise<Response> {
    const [, door, token = "", written, ...rest] = new URL(request.url).pathname.split("/");
    const { method } = request;
    if (rest.length > 0) return notALink();
    const isRead = method === "GET" || method === "HEAD";
    if (!isRead && !(door === "u" && method === "POST")) return refusedMethod(door === "u");
    if (door === "c") return written === undefined ? notALink() : click(request, token, written);
    if (written !== undefined) return notALink();
    if (door === "o") return open(request, token);
    const linked = await parseUnsubscribe(await needs.key(), token);
    if (!linked) return notALink();
    return isRead ? showUnsubscribe(linked, needs) : unsubscribeOrNot(linked, request, needs);
  }

  return async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      const door = new URL(request.url).pathname.slice(0, 3);
      needs.log("link failed", { door, error: error instanceof Error ? error.stack : String(error) });
      const text = "Something went wrong on our side. Please try again in a moment.";
      return pageResponse({ status: 503, title: "Please try again", paragraphs: [text] });
    } finally {
      await dropBody(request);
    }
  };
}

function fact({ serverId, messageId, index }: LinkedRecipient, request: Request, at: number) {
  return { serverId, messageId, index, at, visitor: visitorOf(request) };
}

function visitorOf(request: Request): Visitor {
  const { headers, cf } = request as Request & { cf?: Record<string, unknown> };
  const text = (name: keyof Place) => (typeof cf?.[name] === "string" ? { [name]: cf[name] } : {});
  const place: Place = {
    ...text("country"),
    ...text("region"),
    ...text("regionCode"),
    ...text("city"),
    ...text("postalCode"),
    ...text("latitude"),
    ...text("longitude"),
  };
  const ip = headers.get("CF-Connecting-IP");
  return {
    userAgent: (headers.get("User-Agent") ?? "").slice(0, MAX_USER_AGENT),
    ...(Object.keys(place).length > 0 && { place }),
    ...(ip !== null && { ip }),
  };
}

/** As it was written, where a header can say that. */
function headerUrl(target: string): string {
  return /^[\x21-\x7e]+$/.test(target) ? target : new URL(target).href;
}

function refusedMethod(isForm: boolean): Response {
  const headers = { ...HEADERS, Allow: isForm ? "GET, HEAD, POST" : "GET, HEAD" };
  return new Response(null, { status: 405, headers });
}
