import { describe, expect, it } from "vitest";
import type { TokenPolicy } from "../../src/accounts/policy.ts";
import { authenticateAccount, authenticateServer } from "../../src/api/authenticate.ts";
import { errorResponse } from "../../src/api/error.ts";
import { POLICY, TOKEN } from "./sending.ts";

const FULL: TokenPolicy = { hash: "", scope: "full", allowedIps: [], ratePerMinute: null };

/** Asks with a token of these settings; `counted` says whether it was counted. */
async function ask(
  token: Partial<TokenPolicy>,
  { from, scope, wait = 0 }: { from?: string; scope?: "send" | "read" | "full"; wait?: number } = {},
) {
  let counted = 0;
  const headers: Record<string, string> = { "X-Postmark-Server-Token": TOKEN };
  if (from !== undefined) headers["CF-Connecting-IP"] = from;
  const answer = await authenticateServer(
    new Request("http://x/server", { headers }),
    {
      authenticate: async () => ({ policy: POLICY, token: { ...FULL, ...token } }),
      async retryAfter() {
        counted++;
        return wait;
      },
    },
    scope,
  );
  return { code: "ok" in answer ? 0 : answer.error.code, answer, counted };
}

describe("an allow-list", () => {
  it.each([
    ["192.0.2.9", 0],
    ["2001:db8::9", 0],
    ["192.0.3.9", 1480],
    ["2001:db9::9", 1480],
    ["", 1480],
    ["192.0.2.9, 192.0.3.9", 1480],
    // Without an edge in between, the caller is on this machine.
    [undefined, 1480],
  ])("lets in whom it names: %s", async (from, code) => {
    expect((await ask({ allowedIps: ["192.0.2.0/24", "2001:db8::/32"] }, { from })).code).toBe(code);
  });

  it.each([["127.0.0.0/8"], ["::1"]])("that names this machine (%s) lets it in", async (range) => {
    expect((await ask({ allowedIps: [range] })).code).toBe(0);
    expect((await ask({ allowedIps: [range] }, { from: "192.0.2.1" })).code).toBe(1480);
  });

  it("counts nothing of whom it keeps out", async () => {
    expect((await ask({ allowedIps: ["192.0.2.1"] }, { from: "192.0.2.2", wait: 9 })).counted).toBe(0);
  });
});

describe("a scope", () => {
  it.each([
    ["full", "full", 0],
    ["full", "send", 0],
    ["full", "read", 0],
    ["send", "send", 0],
    ["send", "read", 1481],
    ["send", "full", 1481],
    ["read", "read", 0],
    ["read", "send", 1481],
    ["read", "full", 1481],
  ] as const)("%s, where %s is asked for: %d", async (scope, asked, code) => {
    expect((await ask({ scope }, { scope: asked })).code).toBe(code);
  });
});

describe("an account that asked too often", () => {
  const askFor = async (token: string) => {
    const counted: number[] = [];
    const headers = { "X-Postmark-Account-Token": token };
    const answer = await authenticateAccount(new Request("http://x/servers", { headers }), {
      authenticateAccount: async (known) => (known === TOKEN ? 7 : undefined),
      async accountRetryAfter(accountId) {
        counted.push(accountId);
        return 17;
      },
    });
    if (!("error" in answer)) throw new Error("it was let in");
    return { response: errorResponse(answer.error), counted };
  };

  it("is told when to come again", async () => {
    const { response, counted } = await askFor(TOKEN);
    expect([response.status, response.headers.get("Retry-After"), counted]).toEqual([429, "17", [7]]);
    expect(await response.json()).toMatchObject({ ErrorCode: 429 });
  });

  it("is not counted for who has no token of it", async () => {
    const { response, counted } = await askFor("another");
    expect([response.status, counted]).toEqual([401, []]);
  });
});

describe("a token that asked too often", () => {
  it("is told when to come again", async () => {
    const { answer } = await ask({}, { wait: 17 });
    if (!("error" in answer)) throw new Error("it was let in");
    const response = errorResponse(answer.error);
    expect([response.status, response.headers.get("Retry-After")]).toEqual([429, "17"]);
    expect(await response.json()).toEqual({ ErrorCode: 429, Message: expect.any(String) });
  });
});
