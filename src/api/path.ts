/**
 * Paths as clients write them: in any case, perhaps with a slash at the end. The words of our routes are made lower case before
 * Hono looks for a route; ids, stream ids and aliases between them stay as they are.
 */
import { getPath } from "hono/utils/url";

const STREAM_WORDS = "archive unarchive suppressions dump delete smtp-tokens";
const STATS_WORDS =
  "outbound sends bounces spam tracked opens platforms emailclients readtimes clicks browserfamilies location";
const DOMAIN_WORDS = "dmarc verifydkim verifyreturnpath verifycustomtracking verifyspf rotatedkim";

/** By a path's first word: the words that may follow it. */
const WORDS = new Map(
  Object.entries({
    email: "batch withtemplate batchwithtemplates bulk scheduled",
    deliverystats: "",
    events: "stream",
    bounces: "dump tags activate probe",
    templates: "validate push",
    server: "tokens",
    messages: "outbound inbound details dump timeline opens clicks bypass retry",
    stats: STATS_WORDS,
    triggers: "inboundrules",
    "message-streams": STREAM_WORDS,
    webhooks: "verify statistics deliveries replay resume secrets",
    servers: "tokens",
    domains: DOMAIN_WORDS,
    senders: "resend verifyspf requestnewdkim",
    "data-removals": "",
    destinations: "resume",
  }).map(([first, rest]) => [first, new Set(rest.split(" "))]),
);

/** For Hono's `getPath`. */
export function apiPath(request: Request): string {
  return canonicalPath(getPath(request));
}

/** A number of ours in a path; undefined when it can be none, which is then not found. */
export function pathNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export function canonicalPath(path: string): string {
  const [, first = "", ...rest] = (path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path).split(
    "/",
  );
  const words = WORDS.get(first.toLowerCase());
  if (!words) return `/${[first, ...rest].join("/")}`;
  const known = rest.map((part) => (words.has(part.toLowerCase()) ? part.toLowerCase() : part));
  return `/${[first.toLowerCase(), ...known].join("/")}`;
}
