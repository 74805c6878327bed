/** Asks a spam scanner, over rspamd's HTTP interface, what it thinks of a message. One that is away, or says nothing sensible, is no reason to hold mail up. */
import * as z from "zod";
import type { Client } from "./authenticate.ts";

export interface SpamNeeds {
  /** undefined where none is configured. */
  scanner?: { url: string; password?: string; fetch(url: string, init: RequestInit): Promise<Response> };
  log(event: string, fields: Record<string, unknown>): void;
}

export interface SpamScore {
  isSpam: boolean;
  score: number;
  tests: string[];
  version: string;
}

/** A scanner asks its own lists in about a second. */
const TIMEOUT_MS = 10_000;
/** Spam is small: what is larger goes unscored. */
const MAX_SCANNED_BYTES = 10 * 1024 * 1024;
const MAX_ANSWER_CHARACTERS = 256 * 1024;
const MAX_TESTS = 100;
/** What rspamd does with mail that it takes for spam; to greylist is not to say so. */
const SPAM_ACTIONS = ["add header", "rewrite subject", "reject", "quarantine"];

const Answer = z.object({
  score: z.number(),
  action: z.string(),
  symbols: z.record(z.string(), z.unknown()).optional(),
});

export async function spamScore(
  needs: SpamNeeds,
  mail: { raw: Uint8Array; client: Client; reversePath: string; recipient: string },
): Promise<SpamScore | undefined> {
  const { scanner, log } = needs;
  if (!scanner || mail.raw.length > MAX_SCANNED_BYTES) return undefined;
  try {
    const { address, helo } = mail.client;
    const response = await scanner.fetch(new URL("/checkv2", scanner.url).href, {
      method: "POST",
      headers: {
        ...(address && { IP: address }),
        ...(helo && { Helo: asciiOf(helo) }),
        From: asciiOf(mail.reversePath),
        Rcpt: asciiOf(mail.recipient),
        ...(scanner.password && { Password: scanner.password }),
      },
      body: mail.raw.slice(),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`status ${response.status}`);
    if (text.length > MAX_ANSWER_CHARACTERS) throw new Error("an answer that is too long");
    const { score, action, symbols = {} } = Answer.parse(JSON.parse(text));
    return {
      isSpam: SPAM_ACTIONS.includes(action),
      score,
      tests: Object.keys(symbols).slice(0, MAX_TESTS),
      version: response.headers.get("Server") ?? "rspamd",
    };
  } catch (error) {
    // It is taken unscored: better some spam than no mail.
    log("spam scanner not heard", { error: String(error) });
    return undefined;
  }
}

/** A header's value is of one byte a character. */
function asciiOf(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
