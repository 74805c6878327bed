import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CallNeeds, callHook, type Hook, type HookCall, hookRequest } from "../../src/notify/call.ts";
import { type HookServer, openHookServer } from "./hook-server.ts";

let server: HookServer;
let other: HookServer;
beforeAll(async () => {
  [server, other] = [await openHookServer(), await openHookServer()];
});
beforeEach(() => {
  for (const s of [server, other]) {
    s.told.length = 0;
    s.answer = (_told, response) => response.end("fine");
  }
});
afterAll(async () => {
  await server.close();
  await other.close();
});

const LOCAL: CallNeeds = {
  fetch: (url, init) => fetch(url, init),
  addressesOf: () => Promise.reject(new Error("nobody is asked")),
  allowPrivate: true,
};
const callOf = (hook: Partial<Hook> = {}, more: Partial<HookCall> = {}): HookCall => ({
  hook: { url: `${server.url}/hook`, headers: [], ...hook },
  body: JSON.stringify({ RecordType: "Open", Tag: "grün" }),
  traceId: "trace-1",
  retriesRemaining: 6,
  timeLimitMs: 5_000,
  ...more,
});

describe("a call", () => {
  it("is a POST of JSON with the customer's headers and password", async () => {
    const hook = {
      url: `${server.url}/hook?key=a%20b#part`,
      auth: { username: "usér", password: "p:ss" },
      headers: [
        { name: "X-Secret", value: "shh" },
        { name: "User-Agent", value: "Mine" },
      ],
    };
    expect(await callHook(callOf(hook), LOCAL)).toMatchObject({ status: 200 });
    expect(server.told).toHaveLength(1);
    expect(server.told[0]).toMatchObject({
      method: "POST",
      path: "/hook?key=a%20b",
      headers: {
        "content-type": "application/json",
        authorization: `Basic ${Buffer.from("usér:p:ss").toString("base64")}`,
        "x-secret": "shh",
        "user-agent": "Mine",
        "x-pm-retries-remaining": "6",
        "x-pm-webhook-trace-id": "trace-1",
      },
    });
    expect(JSON.parse(server.told[0]?.text ?? "")).toEqual({ RecordType: "Open", Tag: "grün" });
  });

  it("takes user and password from the URL, where there are no others", () => {
    const url = "https://us%20er:100%25@hook.example/a";
    expect(hookRequest(callOf({ url }))).toMatchObject({
      url: "https://hook.example/a",
      headers: { authorization: `Basic ${Buffer.from("us er:100%").toString("base64")}` },
    });
    const auth = { username: "a", password: "b" };
    expect(hookRequest(callOf({ url, auth })).headers.authorization).toBe(`Basic ${btoa("a:b")}`);
    expect(hookRequest(callOf({ url: "https://a%zz@hook.example" })).headers.authorization).toBe(
      `Basic ${btoa("a%zz:")}`,
    );
  });

  it.each([201, 204, 303, 403, 404, 500])("says that it was answered %i", async (status) => {
    server.answer = (_told, response) => response.writeHead(status, { Location: other.url }).end();
    expect(await callHook(callOf(), LOCAL)).toMatchObject({ status });
    expect(other.told).toEqual([]);
  });

  it("waits no longer than it is told to, for the head of an answer alone", async () => {
    server.answer = () => {};
    expect(await callHook(callOf({}, { timeLimitMs: 300 }), LOCAL)).toEqual({
      failure: "There was no answer within 0.3 seconds.",
    });
    server.answer = (_told, response) => response.write("the body never ends");
    expect(await callHook(callOf(), LOCAL)).toMatchObject({ status: 200 });
  });

  it("says that nobody was there", async () => {
    const gone = await openHookServer();
    await gone.close();
    expect(await callHook(callOf({ url: gone.url }), LOCAL)).toEqual({ failure: "The connection failed." });
  });
});

describe("a redirect", () => {
  const auth = { username: "user", password: "pass" };
  const headers = [{ name: "X-Secret", value: "shh" }];

  it("is followed with the same event; within a host with what proves us", async () => {
    server.answer = ({ path }, response) =>
      path === "/hook" ? response.writeHead(302, { Location: "/there" }).end() : response.end();
    expect(await callHook(callOf({ auth, headers }), LOCAL)).toMatchObject({ status: 200 });
    expect(server.told.map((t) => [t.method, t.path])).toEqual([
      ["POST", "/hook"],
      ["POST", "/there"],
    ]);
    expect(server.told[1]).toMatchObject({ text: server.told[0]?.text, headers: { "x-secret": "shh" } });
    expect(server.told[1]?.headers.authorization).toBeDefined();
  });

  it("to another host takes neither password nor headers along", async () => {
    const Location = `http://user:pass@127.0.0.1:${other.port}/there`;
    server.answer = (_told, response) => response.writeHead(308, { Location }).end();
    expect(await callHook(callOf({ auth, headers }), LOCAL)).toMatchObject({ status: 200 });
    expect(other.told[0]).toMatchObject({ method: "POST", headers: { "content-type": "application/json" } });
    expect(other.told[0]?.headers).not.toHaveProperty("authorization");
    expect(other.told[0]?.headers).not.toHaveProperty("x-secret");
  });

  it("ends after ten, and where it leads nowhere", async () => {
    server.answer = (_told, response) => response.writeHead(307, { Location: "/hook" }).end();
    expect(await callHook(callOf(), LOCAL)).toEqual({ failure: "There were more than 10 redirects." });
    expect(server.told).toHaveLength(11);
    for (const Location of ["ftp://127.0.0.1/", "http://["]) {
      server.answer = (_told, response) => response.writeHead(302, { Location }).end();
      expect(await callHook(callOf(), LOCAL)).toMatchObject({ status: 302 });
    }
  });

  it("to a private address is not followed", async () => {
    const asked: string[] = [];
    const needs: CallNeeds = {
      allowPrivate: false,
      addressesOf: async () => ["93.184.215.14"],
      async fetch(url) {
        asked.push(url);
        return new Response(null, { status: 302, headers: { Location: "http://169.254.169.254/latest" } });
      },
    };
    expect(await callHook(callOf({ url: "https://hook.example/" }), needs)).toEqual({
      failure: "The address is not a public one.",
    });
    expect(asked).toEqual(["https://hook.example/"]);
  });
});

describe("what a call asks of others before it is made", () => {
  const late = { failure: "There was no answer within 0.1 seconds." };
  const never = () => new Promise<never>(() => undefined);

  it("is a name's addresses, and is not waited for longer than the call", async () => {
    const needs = { ...LOCAL, addressesOf: never, allowPrivate: false };
    expect(await callHook(callOf({ url: "http://a.example/" }, { timeLimitMs: 100 }), needs)).toEqual(late);
  }, 2_000);

  it("is a long body, and is not waited for either", async () => {
    expect(await callHook(callOf({}, { body: never, timeLimitMs: 100 }), LOCAL)).toEqual(late);
  }, 2_000);
});
