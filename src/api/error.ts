/**
 * How a request is refused: Postmark's error object, its header and its status. A refusal is a value until a route answers with it.
 */

/** Where the table of codes says nothing else, what the caller did wrong is 422, "not found" included. */
const STATUS: Record<number, number> = {
  10: 401,
  12: 404,
  100: 503,
  101: 500,
  404: 404,
  409: 415,
  429: 429,
  709: 500,
  1002: 400,
};
const RETRY_AFTER_SECONDS = 2;

export interface ApiError {
  code: number;
  message: string;
  status: number;
  /** When it is worth to come again; for 429 and 503. */
  retryAfterSeconds?: number;
}

export type Result<T> = { ok: T } | { error: ApiError };

export function apiError(code: number, message: string, status = STATUS[code] ?? 422): ApiError {
  return { code, message, status };
}

/** The same as a `Result`, for those that return one. */
export function refused(code: number, message: string, status?: number): { error: ApiError } {
  return { error: apiError(code, message, status) };
}

/** Postmark's clients read any JSON with status 200 as success, and nothing else. */
export function okResponse(body: unknown): Response {
  return json(JSON.stringify(body), 200, {});
}

/** `extra` stands in the body beside the code and the text, as `Errors` does for code 11. */
export function errorResponse(
  error: ApiError,
  extra?: Record<string, unknown>,
  retryAfter = error.retryAfterSeconds ?? RETRY_AFTER_SECONDS,
): Response {
  const body = JSON.stringify({ ErrorCode: error.code, Message: error.message, ...extra });
  const headers: Record<string, string> = { "X-PM-ApiErrorCode": String(error.code) };
  if (error.status === 503 || error.status === 429) headers["Retry-After"] = String(retryAfter);
  return json(body, error.status, headers);
}

function json(body: string, status: number, headers: Record<string, string>): Response {
  return new Response(body, {
    status,
    headers: { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", ...headers },
  });
}

/** Thrown where what we need to answer is away; the door says 503 and the cause goes to the log. */
export class Unavailable extends Error {}
