/** A server to send from, and a gate for mail that records what it is handed: for the tests of the door. */
import type { ServerPolicy, StreamPolicy, TokenPolicy } from "../../src/accounts/policy.ts";
import type { AuthenticateNeeds } from "../../src/api/authenticate.ts";
import { emailEndpoints } from "../../src/api/email.ts";
import { mount } from "../../src/api/endpoint.ts";
import type { AcceptReply, SendNeeds } from "../../src/api/send.ts";
import type { Submission } from "../../src/mail/message.ts";

export const TOKEN = "0000002a-1111-8222-8333-444455556666";
export const NOW = Date.UTC(2026, 1, 17, 12, 25, 1, 417);

const FULL_TOKEN: TokenPolicy = { hash: "", scope: "full", allowedIps: [], ratePerMinute: null };

function stream(id: string, type: StreamPolicy["type"], archived = false): StreamPolicy {
  return { id, type, archived, unsubscribe: "None", giveUpAfterMs: 72 * 3_600_000 };
}

export const POLICY: ServerPolicy = {
  serverId: 42,
  accountId: 1,
  name: "Test",
  tokens: [],
  smtpActivated: true,
  smtpTokens: [],
  sandbox: false,
  trackOpens: false,
  trackLinks: "None",
  transports: ["gateway"],
  streams: [
    stream("outbound", "Transactional"),
    stream("broadcast", "Broadcasts"),
    stream("inbound", "Inbound"),
    stream("old", "Transactional", true),
  ],
  domains: ["example.com", "xn--mnchen-3ya.de"],
  senders: [
    { email: "kim@signed.org", name: "Kim", replyTo: "Desk <desk@signed.org>", confirmed: true },
    { email: "new@signed.org", name: "New", replyTo: "", confirmed: false },
  ],
  returnPathDomains: {},
  trackingDomains: {},
  keys: [],
};

export const MESSAGE = { From: "Ann <ann@example.com>", To: "bob@far.org", Subject: "Hello", TextBody: "Hi" };

/** Suppressed in the recorder's world. */
const INACTIVE = /^gone/i;

export interface Recorder {
  needs: SendNeeds & AuthenticateNeeds;
  /** What each call of `accept` was handed. */
  calls: { submissions: Submission[]; idempotency?: { key: string; bodyHash: string } }[];
  /** When set, `accept` answers this. */
  reply?: AcceptReply;
}

/** Remembers idempotency keys as the Outbox does. */
export function recorder(policy: ServerPolicy = POLICY): Recorder {
  const remembered = new Map<string, { bodyHash: string; reply: AcceptReply }>();
  let count = 0;
  const made: Recorder = {
    calls: [],
    needs: {
      authenticateAccount: async () => undefined,
      authenticate: async (token) =>
        token.toLowerCase() === TOKEN ? { policy, token: FULL_TOKEN } : undefined,
      retryAfter: async () => 0,
      accountRetryAfter: async () => 0,
      async accept(_policy, submissions, { idempotency }) {
        made.calls.push({ submissions, idempotency });
        if (made.reply) return made.reply;
        const before = idempotency && remembered.get(idempotency.key);
        if (before) return before.bodyHash === idempotency.bodyHash ? before.reply : { kind: "conflict" };
        const reply: AcceptReply = {
          kind: "accepted",
          results: submissions.map(({ to, cc, bcc }) => {
            const all = [...to, ...cc, ...bcc].map((m) => m.email.toLowerCase());
            const inactive = all.filter((email) => INACTIVE.test(email));
            if (inactive.length === all.length) return { ok: false, inactive };
            const messageId = `00000000-0000-8000-8000-${String(++count).padStart(12, "0")}`;
            return { ok: true, messageId, submittedAt: NOW, inactive };
          }),
        };
        if (idempotency) remembered.set(idempotency.key, { bodyHash: idempotency.bodyHash, reply });
        return reply;
      },
      now: () => NOW,
      newId: () => crypto.randomUUID(),
    },
  };
  return made;
}

/** Posts JSON (or text as it is) to the routes; `headers` replace the usual ones. */
export async function post(
  made: Recorder,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const response = await mount(emailEndpoints(made.needs), made.needs).request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Postmark-Server-Token": TOKEN, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}
