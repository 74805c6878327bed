/**
 * AUTH PLAIN (RFC 4616) and LOGIN, as exchanges of lines. No CRAM-MD5 and its like: they need the password itself where it is checked, so
 * that tokens would have to be kept in clear, and inside of TLS they protect nothing. Not the library's, since that takes what
 * is not base64 for some password.
 */
import type { Reply } from "../../mail/reply.ts";
import { reply } from "./reply.ts";

export interface Credentials {
  user: string;
  password: string;
}

export type SaslStep = { challenge: string } | { credentials: Credentials } | { fault: Reply };

export interface SaslExchange {
  /** `response` is undefined when AUTH came without one. */
  next(response: string | undefined): SaslStep;
}

const MALFORMED = { fault: reply(501, "5.5.2", "the response is not well-formed") };
const CANCELLED = { fault: reply(501, "5.7.0", "authentication cancelled") };

/** undefined when the mechanism is not one of ours. */
export function beginSasl(mechanism: string): SaslExchange | undefined {
  if (mechanism === "PLAIN") return new Plain();
  return mechanism === "LOGIN" ? new UserThenPassword() : undefined;
}

class Plain implements SaslExchange {
  next(response: string | undefined): SaslStep {
    if (response === undefined) return { challenge: "" };
    if (response === "*") return CANCELLED;
    const [authorize, user, password, ...more] = decode(response)?.split("\0") ?? [];
    if (authorize === undefined || user === undefined || password === undefined || more.length > 0)
      return MALFORMED;
    // Some programs write the user in the place of whom to act as. Nobody acts for another here.
    if (user !== "" && authorize !== "" && authorize !== user)
      return { fault: reply(535, "5.7.8", "nobody can act for another here") };
    return credentials(user || authorize, password);
  }
}

class UserThenPassword implements SaslExchange {
  #user: string | undefined;

  next(response: string | undefined): SaslStep {
    if (response === undefined) return { challenge: "VXNlcm5hbWU6" };
    if (response === "*") return CANCELLED;
    const text = decode(response);
    if (text === undefined) return MALFORMED;
    if (this.#user !== undefined) return credentials(this.#user, text);
    this.#user = text;
    return { challenge: "UGFzc3dvcmQ6" };
  }
}

function credentials(user: string, password: string): SaslStep {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
  if (user === "" || /[\u0000-\u001f\u007f-\u009f]/.test(user + password)) return MALFORMED;
  return { credentials: { user, password } };
}

/** RFC 4954 §4: "=" is a response that is empty. */
function decode(response: string): string | undefined {
  if (response === "=") return "";
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(response)) return undefined;
  return Buffer.from(response, "base64").toString("utf8");
}
