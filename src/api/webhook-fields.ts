/** A webhook on the wire (§15 of the contract): what may be sent of it, what that makes of one that is there, and how it is shown. */
import * as z from "zod";
import type { Webhook, WebhookSettings } from "../accounts/webhooks.ts";
import type { WebhookTriggers } from "../schema/directory.ts";
import { type ApiError, apiError, type Result, refused } from "./error.ts";
import { flag, scalar } from "./json-body.ts";

const MAX_URL = 2_000;
const MAX_HEADERS = 30;
const MAX_VALUE = 4_000;
/** RFC 9110 §5.1: a token; longer ones no server takes. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/;
/** RFC 9110 §5.5: visible characters, spaces and tabs within, and bytes that are not ASCII. */
const HEADER_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
/** What belongs to the connection or says what we send: no customer's to set. */
const OURS = new Set(
  "host connection keep-alive upgrade te trailer transfer-encoding content-length content-type expect".split(
    " ",
  ),
);
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
const CONTROL = /[\u0000-\u001f\u007f]/;

const enabled = z.object({ Enabled: flag.optional() }).optional();
const withContent = z.object({ Enabled: flag.optional(), IncludeContent: flag.optional() }).optional();
const Triggers = z.object({
  Open: z.object({ Enabled: flag.optional(), PostFirstOpenOnly: flag.optional() }).optional(),
  Click: enabled,
  Delivery: enabled,
  Bounce: withContent,
  SpamComplaint: withContent,
  SubscriptionChange: enabled,
});

export const webhookBody = z.object({
  Url: z.string().optional(),
  MessageStream: z.string().optional(),
  HttpAuth: z.object({ Username: scalar.default(""), Password: scalar.default("") }).optional(),
  HttpHeaders: z.array(z.object({ Name: z.string().default(""), Value: scalar.default("") })).optional(),
  Triggers: Triggers.optional(),
  RetryFor: z.string().optional(),
  /** Ours to say, and told apart from what is only unknown. */
  ID: scalar.optional(),
  Status: scalar.optional(),
  Verify: flag.optional(),
});
export type WebhookBody = z.infer<typeof webhookBody>;

const on = z.object({ Enabled: z.boolean() });
export const shownWebhook = z.object({
  ID: z.int(),
  Url: z.string(),
  MessageStream: z.string(),
  HttpAuth: z.object({ Username: z.string(), Password: z.string() }).nullable(),
  HttpHeaders: z.array(z.object({ Name: z.string(), Value: z.string() })),
  Triggers: z.object({
    Open: on.extend({ PostFirstOpenOnly: z.boolean() }),
    Click: on,
    Delivery: on,
    Bounce: on.extend({ IncludeContent: z.boolean() }),
    SpamComplaint: on.extend({ IncludeContent: z.boolean() }),
    SubscriptionChange: on,
  }),
  Status: z.enum(["verified", "unverified"]),
  RetryFor: z.enum(["Standard", "ThreeDays"]),
});

export const FIELD_ERRORS = {
  1354: "`Url` is missing or no http or https URL",
  1355: "There is no body",
  1358: "A header's name is missing, is no name, or is not the customer's to set",
  1361: "A header, the user or the password has a value that cannot be sent, or `RetryFor` is no word of its",
  1362: "`Status` is given, and none that there is",
  1363: "`Status` is given",
};

/** What a new webhook begins with. Without `Verify` its URL is taken on trust, as all clients expect. */
const NEW: WebhookSettings = {
  url: "",
  headers: [],
  triggers: {
    Open: { Enabled: false, PostFirstOpenOnly: false },
    Click: { Enabled: false },
    Delivery: { Enabled: false },
    Bounce: { Enabled: false, IncludeContent: false },
    SpamComplaint: { Enabled: false, IncludeContent: false },
    SubscriptionChange: { Enabled: false },
  },
  status: "verified",
  retryFor: "standard",
  secrets: [],
};

/** What the body makes of the settings that are there; what it does not name stays as it is. */
export function readSettings(body: WebhookBody, before: WebhookSettings = NEW): Result<WebhookSettings> {
  const wrong = statusError(body) ?? headersError(body) ?? authError(body);
  if (wrong) return { error: wrong };
  const url = body.Url?.trim() ?? before.url;
  if (!isHookUrl(url)) return refused(1354, "The 'Url' of a webhook must be a valid http or https URL.");
  const retryFor = readRetryFor(body, before);
  if (!retryFor) return refused(1361, "'RetryFor' of a webhook must be 'Standard' or 'ThreeDays'.");
  const { HttpAuth: auth, HttpHeaders: headers } = body;
  const isNone = auth?.Username === "" && auth.Password === "";
  return {
    ok: {
      url,
      auth: isNone ? undefined : auth ? { username: auth.Username, password: auth.Password } : before.auth,
      headers: headers?.map(({ Name, Value }) => ({ name: Name, value: Value })) ?? before.headers,
      triggers: mergeTriggers(before.triggers, body.Triggers),
      status: body.Verify === undefined ? before.status : body.Verify ? "verified" : "unverified",
      retryFor,
      secrets: before.secrets,
    },
  };
}

function readRetryFor({ RetryFor }: WebhookBody, before: WebhookSettings) {
  if (!RetryFor) return before.retryFor;
  return (["standard", "threeDays"] as const).find((word) => word.toLowerCase() === RetryFor.toLowerCase());
}

function mergeTriggers(before: WebhookTriggers, given: WebhookBody["Triggers"] = {}): WebhookTriggers {
  const one = <T extends object>(old: T, named: object | undefined): T => {
    const present = Object.entries(named ?? {}).filter(([, value]) => value !== undefined);
    return { ...old, ...Object.fromEntries(present) };
  };
  return {
    Open: one(before.Open, given.Open),
    Click: one(before.Click, given.Click),
    Delivery: one(before.Delivery, given.Delivery),
    Bounce: one(before.Bounce, given.Bounce),
    SpamComplaint: one(before.SpamComplaint, given.SpamComplaint),
    SubscriptionChange: one(before.SubscriptionChange, given.SubscriptionChange),
  };
}

function isHookUrl(text: string): boolean {
  if (text.length > MAX_URL || CONTROL.test(text) || !URL.canParse(text)) return false;
  const { protocol } = new URL(text);
  return protocol === "https:" || protocol === "http:";
}

function statusError({ Status }: WebhookBody): ApiError | undefined {
  if (!Status) return undefined;
  return /^(un)?verified$/i.test(Status)
    ? apiError(1363, "The 'Status' of a webhook cannot be set.")
    : apiError(1362, "Invalid 'Status'.");
}

function headersError({ HttpHeaders = [] }: WebhookBody): ApiError | undefined {
  if (HttpHeaders.length > MAX_HEADERS)
    return apiError(1361, `A webhook may have at most ${MAX_HEADERS} headers.`);
  for (const { Name, Value } of HttpHeaders) {
    if (!HEADER_NAME.test(Name) || OURS.has(Name.toLowerCase()))
      return apiError(1358, "A webhook's header has an invalid 'Name'.");
    if (Value.length > MAX_VALUE || !HEADER_VALUE.test(Value))
      return apiError(1361, `The header '${Name}' has an invalid 'Value'.`);
  }
  return undefined;
}

/** RFC 7617 §2: no colon in a user, no control characters in either. */
function authError({ HttpAuth }: WebhookBody): ApiError | undefined {
  if (!HttpAuth) return undefined;
  const { Username, Password } = HttpAuth;
  const isWrong =
    Username.includes(":") ||
    CONTROL.test(Username + Password) ||
    (Username + Password).length > MAX_VALUE / 2;
  return isWrong ? apiError(1361, "'HttpAuth' has an invalid 'Username' or 'Password'.") : undefined;
}

export function webhookJson(webhook: Webhook): z.infer<typeof shownWebhook> {
  const { id, url, stream, auth, headers, triggers, status, retryFor } = webhook;
  return {
    ID: id,
    Url: url,
    MessageStream: stream,
    HttpAuth: auth ? { Username: auth.username, Password: auth.password } : null,
    HttpHeaders: headers.map(({ name, value }) => ({ Name: name, Value: value })),
    Triggers: triggers,
    Status: status,
    RetryFor: retryFor === "threeDays" ? "ThreeDays" : "Standard",
  };
}
