/**
 * One call of a webhook: an event as JSON, by POST, with the customer's own headers (§17 of the wire contract). Says what was answered
 * and nothing of what follows from that. Redirects are followed by hand, so that each host is looked at, and so that what proves
 * us to one host is not told to another.
 */
import { type AddressNeeds, refusalOf } from "./address.ts";
import { signatureHeaders } from "./signature.ts";

export interface Hook {
  url: string;
  auth?: { username: string; password: string };
  headers: { name: string; value: string }[];
}

export interface HookCall {
  hook: Hook;
  /** JSON; or where it is read from, anew at each redirect, when it is too long to be held. */
  body: string | (() => Promise<ReadableStream<Uint8Array>>);
  /** Each signs a body that is held. */
  secrets?: string[];
  /** The same on each retry of an event. */
  traceId: string;
  retriesRemaining: number;
  /** For the whole call, its redirects included. */
  timeLimitMs: number;
}

export interface HookReply {
  status: number;
  /** The first of them, as they came. */
  headers: Record<string, string>;
  /** Its beginning, as text. */
  body: string;
}

/** What was answered, or why nothing was. */
export type HookAnswer = HookReply | { failure: string };

export interface CallNeeds extends AddressNeeds {
  fetch(url: string, init: RequestInit): Promise<Response>;
}

const MAX_REDIRECTS = 10;
/** 303 asks for a GET, which no event could be told by; it is an answer like another. */
const REDIRECTS = new Set([301, 302, 307, 308]);
const USER_AGENT = "Postmark";
/** Of a reply, what helps whoever set the hook up. The rest may be endless. */
const MAX_REPLY_BYTES = 4_096;
const MAX_REPLY_HEADERS = 30;
const MAX_REPLY_HEADER = 500;
/** The status says all that counts: what comes after it is not waited for longer. */
const REPLY_BODY_MS = 2_000;

export interface HookRequest {
  url: string;
  headers: Record<string, string>;
}

/** The request as it goes out. A user and password in the URL are no part of what is fetched: they become a header. */
export function hookRequest({
  hook,
  traceId,
  retriesRemaining,
}: Omit<HookCall, "body" | "timeLimitMs">): HookRequest {
  const url = new URL(hook.url);
  const auth = hook.auth ?? userInfo(url);
  url.username = "";
  url.password = "";
  url.hash = "";
  const headers: Record<string, string> = { "user-agent": USER_AGENT };
  for (const { name, value } of hook.headers) headers[name.toLowerCase()] = value;
  if (auth) headers.authorization = `Basic ${base64(`${auth.username}:${auth.password}`)}`;
  headers["content-type"] = "application/json";
  headers["x-pm-retries-remaining"] = String(retriesRemaining);
  headers["x-pm-webhook-trace-id"] = traceId;
  return { url: url.href, headers };
}

export async function callHook(call: HookCall, needs: CallNeeds): Promise<HookAnswer> {
  // Not AbortSignal.timeout, whose timer outlives the call: an object may have 10,000 at once.
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(new DOMException("", "TimeoutError")), call.timeLimitMs);
  const { signal } = end;
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  // Nobody may be waiting for it just then.
  late.catch(() => undefined);
  const { body, secrets = [], traceId } = call;
  const first = hookRequest(call);
  let { url } = first;
  const signed =
    typeof body === "string" ? await signatureHeaders(secrets, { id: traceId, at: Date.now(), body }) : {};
  let headers = { ...first.headers, ...signed };
  try {
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const refusal = await Promise.race([refusalOf(new URL(url).hostname, needs), late]);
      if (refusal) return { failure: refusal };
      const sent = typeof body === "string" ? body : await Promise.race([body(), late]);
      const response = await needs.fetch(url, {
        ...{ method: "POST", headers, body: sent, redirect: "manual", signal },
        ...(typeof sent !== "string" && { duplex: "half" }),
      });
      const next = REDIRECTS.has(response.status) ? redirect(url, response) : undefined;
      if (!next) return await replyOf(response);
      await Promise.race([response.body?.cancel(), late]);
      if (new URL(next).origin !== new URL(url).origin) headers = withoutSecrets(headers);
      url = next;
    }
    return { failure: `There were more than ${MAX_REDIRECTS} redirects.` };
  } catch (error) {
    // Whatever it was, the event was not taken; what is known of the reason is for whoever set the hook up.
    return { failure: failureOf(error, call.timeLimitMs) };
  } finally {
    clearTimeout(timer);
  }
}

async function replyOf(response: Response): Promise<HookReply> {
  const headers: Record<string, string> = {};
  for (const [name, value] of [...response.headers].slice(0, MAX_REPLY_HEADERS))
    headers[name] = value.slice(0, MAX_REPLY_HEADER);
  return { status: response.status, headers, body: await beginningOf(response.body) };
}

/** Never rejects: a reply that breaks off has been given. */
async function beginningOf(body: ReadableStream<Uint8Array> | null): Promise<string> {
  if (!body) return "";
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const read = async () => {
    while (size < MAX_REPLY_BYTES) {
      const { value } = await reader.read();
      if (!value) return;
      chunks.push(value);
      size += value.byteLength;
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, REPLY_BODY_MS);
  });
  // What was said before it broke off is kept.
  await Promise.race([read().catch(() => undefined), late]);
  clearTimeout(timer);
  await reader.cancel().catch(() => undefined);
  return new TextDecoder().decode(Buffer.concat(chunks).subarray(0, MAX_REPLY_BYTES));
}

/** undefined when the answer names no place that a hook can be at. */
function redirect(from: string, response: Response): string | undefined {
  const location = response.headers.get("Location");
  if (!location || !URL.canParse(location, from)) return undefined;
  const url = new URL(location, from);
  if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
  url.username = "";
  url.password = "";
  return url.href;
}

/** The customer's own headers may be secrets too. */
function withoutSecrets(headers: Record<string, string>): Record<string, string> {
  const kept = ["user-agent", "content-type", "x-pm-retries-remaining", "x-pm-webhook-trace-id"];
  return Object.fromEntries(Object.entries(headers).filter(([name]) => kept.includes(name)));
}

function userInfo({ username, password }: URL): Hook["auth"] {
  if (!username && !password) return undefined;
  return { username: decoded(username), password: decoded(password) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone "%", which a URL may have: it stands for itself.
    return text;
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function failureOf(error: unknown, timeLimitMs: number): string {
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError" || name === "AbortError")
    return `There was no answer within ${timeLimitMs / 1000} seconds.`;
  return "The connection failed.";
}
