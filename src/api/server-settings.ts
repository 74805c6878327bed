/** What a caller may set of a server, read from a body: each field in its own words, and with its own code when it is wrong. */
import * as z from "zod";
import type { Server, ServerSettings } from "../accounts/create.ts";
import { isReserved, pointsToUs } from "../accounts/inbound-domain.ts";
import { asciiDomain } from "../mail/address.ts";
import { CONTROL } from "../mail/text.ts";
import { apiError, type Result, refused } from "./error.ts";
import { flag, whole } from "./json-body.ts";
import type { SettingsNeeds } from "./settings-needs.ts";
import { TRACKING } from "./submission.ts";

const MAX_NAME = 255;
/** Longer ones no web server takes. */
const MAX_HOOK_URL = 2_000;
const MAX_SPAM_THRESHOLD = 30;
/** "Turqoise" is how Postmark's documentation spells it in places. */
const COLORS = "Purple Blue Turquoise Turqoise Green Red Yellow Grey Orange".split(" ");
const DELIVERY_TYPES = ["Live", "Sandbox"] as const;
const HOOKS = {
  InboundHookUrl: "inboundHookUrl",
  BounceHookUrl: "bounceHookUrl",
  OpenHookUrl: "openHookUrl",
  DeliveryHookUrl: "deliveryHookUrl",
  ClickHookUrl: "clickHookUrl",
} as const;

/** What can be changed; whether a server delivers is fixed when it is made. */
export const serverFields = z.object({
  Name: z.string().optional(),
  Color: z.string().optional().meta({ examples: COLORS }),
  SmtpApiActivated: flag.optional(),
  RawEmailEnabled: flag.optional(),
  InboundHookUrl: z.string().optional(),
  BounceHookUrl: z.string().optional(),
  OpenHookUrl: z.string().optional(),
  DeliveryHookUrl: z.string().optional(),
  ClickHookUrl: z.string().optional(),
  PostFirstOpenOnly: flag.optional(),
  InboundDomain: z.string().optional(),
  InboundSpamThreshold: whole.optional(),
  TrackOpens: flag.optional(),
  TrackLinks: z.string().optional().meta({ examples: TRACKING }),
  IncludeBounceContentInHook: flag.optional(),
  EnableSmtpApiErrorHooks: flag.optional(),
});

export const newServerFields = serverFields.extend({
  DeliveryType: z.string().optional().meta({ examples: DELIVERY_TYPES }),
});

export const SERVER_ERRORS = {
  602: "Another server has this `InboundDomain`",
  603: "The account has a server of this `Name`",
  606: "A hook URL is no `http` or `https` URL",
  607: "There is no such `Color`",
  608: "`Name` is missing, empty or too long",
  609: "The body is empty",
  610: "The MX records of `InboundDomain` do not point here, or it is no domain",
  611: `\`InboundSpamThreshold\` is not from 0 to ${MAX_SPAM_THRESHOLD}`,
  612: "There is no such `TrackLinks`",
};

export const NO_DATA = apiError(609, "The request has no data.");

/** What is absent is undefined. */
export function readServerFields(
  fields: z.infer<typeof newServerFields>,
): Result<Partial<Omit<ServerSettings, "inboundDomain">>> {
  const { Name, Color = "", TrackLinks = "", DeliveryType = "", InboundSpamThreshold } = fields;
  const name = Name?.trim();
  if (name !== undefined && (name === "" || name.length > MAX_NAME || CONTROL.test(name)))
    return refused(608, `The server's 'Name' must have 1 to ${MAX_NAME} characters, and no line breaks.`);
  if (Color !== "" && !COLORS.some((color) => color.toLowerCase() === Color.toLowerCase()))
    return refused(607, `Invalid 'Color'. It must be one of ${COLORS.join(", ")}.`);
  const trackLinks = word(TRACKING, TrackLinks);
  if (!trackLinks && TrackLinks !== "")
    return refused(612, `Invalid 'TrackLinks'. It must be one of ${TRACKING.join(", ")}.`);
  const deliveryType = word(DELIVERY_TYPES, DeliveryType);
  if (!deliveryType && DeliveryType !== "")
    return refused(613, `Invalid 'DeliveryType'. It must be one of ${DELIVERY_TYPES.join(", ")}.`);
  if (
    InboundSpamThreshold !== undefined &&
    !(InboundSpamThreshold >= 0 && InboundSpamThreshold <= MAX_SPAM_THRESHOLD)
  )
    return refused(611, `'InboundSpamThreshold' must be a number from 0 to ${MAX_SPAM_THRESHOLD}.`);
  const hooks = readHooks(fields);
  if ("error" in hooks) return hooks;
  return {
    ok: {
      ...hooks.ok,
      name,
      color: Color || undefined,
      trackLinks,
      deliveryType,
      inboundSpamThreshold: InboundSpamThreshold,
      smtpActivated: fields.SmtpApiActivated,
      rawEmailEnabled: fields.RawEmailEnabled,
      postFirstOpenOnly: fields.PostFirstOpenOnly,
      trackOpens: fields.TrackOpens,
      includeBounceContentInHook: fields.IncludeBounceContentInHook,
      enableSmtpApiErrorHooks: fields.EnableSmtpApiErrorHooks,
    },
  };
}

/** "" takes a hook away. */
function readHooks(fields: z.infer<typeof serverFields>) {
  const hooks: Partial<Pick<Server, (typeof HOOKS)[keyof typeof HOOKS]>> = {};
  for (const field of Object.keys(HOOKS) as (keyof typeof HOOKS)[]) {
    const url = fields[field]?.trim();
    if (url && !isHookUrl(url)) return refused(606, `Invalid '${field}'. It must be an http or https URL.`);
    hooks[HOOKS[field]] = url;
  }
  return { ok: hooks };
}

function isHookUrl(text: string): boolean {
  const url = text.length <= MAX_HOOK_URL ? URL.parse(text) : null;
  return url !== null && (url.protocol === "https:" || url.protocol === "http:");
}

function word<T extends string>(words: readonly T[], given: string): T | undefined {
  return words.find((known) => known.toLowerCase() === given.toLowerCase());
}

/** "" gives the domain up; one that the server has already is not asked about again. */
export async function readInboundDomain(
  given: string | undefined,
  before: string,
  needs: SettingsNeeds,
): Promise<Result<string | undefined>> {
  const text = given?.trim().replace(/\.$/, "").toLowerCase();
  if (text === undefined || text === "" || text === before) return { ok: text };
  const domain = asciiDomain(text)?.toLowerCase();
  if (domain === undefined)
    return refused(610, "Invalid 'InboundDomain'. It is not a domain that can receive mail.");
  if (domain === before) return { ok: domain };
  if (isReserved(domain, needs.mailDomain)) return { error: TAKEN.inboundDomain };
  if (await pointsToUs(domain, needs.mailDomain, needs)) return { ok: domain };
  return refused(610, `The MX record of '${domain}' does not point to this service.`);
}

export const TAKEN = {
  name: apiError(603, "A server with this name already exists."),
  inboundDomain: apiError(602, "This inbound domain is already in use."),
};
