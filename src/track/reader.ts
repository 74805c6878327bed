/**
 * What the programs with which people read and click tell of themselves. Pure. A library knows the browsers; of what mail programs and
 * their proxies write we keep a table of our own. What is not known is "unknown", as Postmark has it.
 */
import Bowser from "bowser";
import type { Reader } from "../mail/reader.ts";
import { BROWSERS, MAIL_PROGRAMS, type MailProgram, SCANNERS, SYSTEMS } from "./mail-programs.ts";

/** Longer ones are no program's, and are not worth their place. */
const MAX_USER_AGENT = 500;
const UNKNOWN = { name: "unknown", company: "unknown", family: "unknown" };

/** As the platform tells it of a request; all are strings, coordinates too. */
export interface Place {
  country?: string;
  region?: string;
  regionCode?: string;
  city?: string;
  postalCode?: string;
  latitude?: string;
  longitude?: string;
}

/** `did` tells a browser that shows a mail, which is web mail, from one in which a link was opened. */
export function readerOf(
  did: "opened" | "clicked",
  { userAgent: text, place, ip }: { userAgent: string; place?: Place; ip?: string },
): Reader {
  const userAgent = text.slice(0, MAX_USER_AGENT).trim();
  if (userAgent === "")
    return { client: UNKNOWN, os: UNKNOWN, platform: "Unknown", userAgent, geo: geoOf(place, ip) };
  // A link is never opened in a mail program, though some send their name along.
  const program = did === "opened" ? MAIL_PROGRAMS.find((p) => p.pattern.test(userAgent)) : undefined;
  if (program?.isProxy) {
    const platform = program.platform ?? "Unknown";
    return { client: programOf(program, userAgent), os: UNKNOWN, platform, userAgent, geo: {} };
  }
  const scanner = program ? undefined : SCANNERS.find((s) => s.pattern.test(userAgent));
  if (scanner) {
    const { family, company } = scanner;
    return {
      client: { name: family, company, family },
      os: UNKNOWN,
      platform: "Unknown",
      userAgent,
      geo: {},
    };
  }
  const told = Bowser.parse(userAgent);
  const isBrowser = program === undefined;
  return {
    client: program ? programOf(program, userAgent) : browserOf(told.browser),
    os: systemOf(told.os),
    platform: program?.platform ?? platformOf(told, did === "opened" && isBrowser),
    userAgent,
    geo: geoOf(place, ip),
  };
}

type Told = ReturnType<typeof Bowser.parse>;

function programOf({ pattern, family, company }: MailProgram, userAgent: string): Reader["client"] {
  const version = pattern.exec(userAgent)?.[1];
  return { name: version ? `${family} ${version}` : family, company, family };
}

function browserOf({ name = "", version }: Told["browser"]): Reader["client"] {
  const known = Object.hasOwn(BROWSERS, name) ? BROWSERS[name] : undefined;
  if (!known) return UNKNOWN;
  return { ...known, name: version ? `${known.family} ${version}` : known.family };
}

/** "OS X 10.7.5 Lion" is of the family "OS X 10"; Windows has the name of its version for that. */
function systemOf({ name: told = "", version, versionName }: Told["os"]): Reader["os"] {
  const company = Object.hasOwn(SYSTEMS, told) ? SYSTEMS[told] : undefined;
  if (!company) return UNKNOWN;
  const number = told === "Windows" ? versionName : version;
  const name = told === "macOS" && number?.startsWith("10.") ? "OS X" : told;
  const rest = told === "Windows" ? [number] : [number, versionName];
  return {
    name: [name, ...rest].filter(Boolean).join(" "),
    company,
    family: [name, told === "Windows" ? number : number?.split(".")[0]].filter(Boolean).join(" "),
  };
}

function platformOf({ platform, browser, os }: Told, isWebMail: boolean): Reader["platform"] {
  if (platform.type === "mobile" || platform.type === "tablet") return "Mobile";
  const isDesktop = platform.type === "desktop" || os.name === "Chrome OS";
  if (!isDesktop) return "Unknown";
  return isWebMail && Object.hasOwn(BROWSERS, browser.name ?? "") ? "WebMail" : "Desktop";
}

const COUNTRIES = new Intl.DisplayNames(["en"], { type: "region", fallback: "none" });

/** Absent is what is not known; `{}` when nothing is. */
function geoOf(place: Place = {}, ip?: string): Reader["geo"] {
  const { country, region, regionCode, city, postalCode, latitude, longitude } = place;
  const coords = latitude && longitude ? `${latitude},${longitude}` : undefined;
  const known = Object.entries({
    countryIsoCode: country,
    country: country && countryName(country),
    regionIsoCode: regionCode,
    region,
    city,
    zip: postalCode,
    coords,
    ip,
  });
  return Object.fromEntries(known.filter(([, value]) => value));
}

function countryName(code: string): string | undefined {
  // "T1" is what Cloudflare calls Tor, and no region.
  return /^[A-Z]{2}$/.test(code) ? COUNTRIES.of(code) : undefined;
}
