/** An account makes a server and its tokens with Postmark's own client; what each may do holds in the running system at once. */
import { AccountClient, ServerClient } from "postmark";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System } from "./system.ts";

let system: System;
let account: AccountClient;
let options: { requestHost: string; useHttps: boolean };

beforeAll(async () => {
  system = await System.start();
  options = { requestHost: system.local.http.replace("http://", ""), useHttps: false };
  account = new AccountClient(system.local.accountToken, options);
}, 100_000);
afterAll(() => system.remove());

const message = { From: "sender@example.com", To: "to@servers.example", Subject: "Hello", TextBody: "Hi" };

/** Asks with a token; the code of the answer, 0 when it is no refusal. */
async function code(token: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const method = body === undefined ? "GET" : "POST";
  const answer = await system.api(method, path, body, { "X-Postmark-Server-Token": token, ...headers });
  return answer.json.ErrorCode ?? 0;
}

async function newToken(
  serverId: number,
  settings: Record<string, unknown>,
): Promise<{ ID: number; Token: string }> {
  const headers = { "X-Postmark-Account-Token": system.local.accountToken };
  const { json } = await system.api("POST", `/servers/${serverId}/tokens`, settings, headers);
  return json as unknown as { ID: number; Token: string };
}

describe("a server that the official client makes", () => {
  it("sends at once, is changed and listed, and is gone at once when it is deleted", async () => {
    const made = await account.createServer({ Name: "Shop", Color: "purple" as never, TrackOpens: true });
    const [token = ""] = made.ApiTokens;
    const client = new ServerClient(token, options);
    expect((await client.sendEmail({ ...message, To: "shop@servers.example" })).ErrorCode).toBe(0);
    await system.arrives("shop@servers.example");
    expect(await client.getServer()).toEqual(made);
    expect((await client.editServer({ Name: "Shop 2" })).Color).toBe("purple");
    const { TotalCount, Servers } = await account.getServers({ name: "shop" });
    expect([TotalCount, Servers[0]?.Name]).toEqual([1, "Shop 2"]);
    expect(await account.deleteServer(made.ID)).toMatchObject({
      ErrorCode: 0,
      Message: "Server Shop 2 removed.",
    });
    await expect(client.sendEmail(message)).rejects.toMatchObject({ code: 10, statusCode: 401 });
    await expect(account.getServer(made.ID)).rejects.toMatchObject({ code: 601 });
  });

  it("has tokens with a scope, and one that is revoked stops at once", async () => {
    const { ID } = await account.createServer({ Name: "Scopes" });
    const send = await newToken(ID, { Scope: "send" });
    const read = await newToken(ID, { Scope: "read" });
    const batch = [message, message];
    expect([
      await code(send.Token, "/email", message),
      await code(send.Token, "/email/batch", batch),
    ]).toEqual([0, 0]);
    expect([
      await code(send.Token, "/messages/outbound?count=1&offset=0"),
      await code(send.Token, "/server"),
      await code(read.Token, "/messages/outbound?count=1&offset=0"),
      await code(read.Token, "/bounces?count=1&offset=0"),
      await code(read.Token, "/email", message),
      await code(read.Token, "/message-streams", { ID: "x", Name: "x", MessageStreamType: "Transactional" }),
    ]).toEqual([1481, 1481, 0, 0, 1481, 1481]);
    const headers = { "X-Postmark-Account-Token": system.local.accountToken };
    await system.api("DELETE", `/servers/${ID}/tokens/${send.ID}`, undefined, headers);
    expect(await code(send.Token, "/email", message)).toBe(10);
    expect(await code(read.Token, "/server")).toBe(0);
  });

  it("lets a token in from the addresses on its list", async () => {
    const { ID } = await account.createServer({ Name: "Addresses" });
    const { Token } = await newToken(ID, { AllowedIps: ["192.0.2.0/24", "127.0.0.1"] });
    const from = (address: string) => code(Token, "/email", message, { "CF-Connecting-IP": address });
    expect([
      await from("192.0.2.9"),
      await from("198.51.100.9"),
      await code(Token, "/email", message),
    ]).toEqual([0, 1480, 0]);
  });

  it("tells a token that asks too often when to come again, and leaves the others alone", async () => {
    const { ID, ApiTokens } = await account.createServer({ Name: "Rates" });
    const { Token } = await newToken(ID, { RatePerMinute: 3 });
    const statuses: number[] = [];
    let wait = "";
    // Three, or six when a minute ends in between.
    while (statuses.length < 7 && !wait) {
      const { status, headers } = await system.api("POST", "/email", message, {
        "X-Postmark-Server-Token": Token,
      });
      statuses.push(status);
      wait = headers.get("Retry-After") ?? "";
    }
    expect(statuses.slice(0, 3)).toEqual([200, 200, 200]);
    expect(statuses.at(-1)).toBe(429);
    expect(Number(wait)).toBeGreaterThanOrEqual(1);
    expect(Number(wait)).toBeLessThanOrEqual(60);
    expect(await code(ApiTokens[0] ?? "", "/email", message)).toBe(0);
  });
});
