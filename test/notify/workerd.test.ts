/** Calls and long answers in workerd, whose fetch and streams are not Node's. */
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type HookServer, openHookServer } from "./hook-server.ts";

let workerd: Miniflare;
let server: HookServer;

beforeAll(async () => {
  server = await openHookServer();
  const { outputFiles } = await build({
    entryPoints: [new URL("worker.ts", import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "esm",
    external: ["node:*"],
    conditions: ["workerd", "worker"],
    mainFields: ["module", "main"],
  });
  const contents = outputFiles[0]?.text ?? "";
  workerd = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents }],
    compatibilityDate: "2026-07-01",
    compatibilityFlags: ["nodejs_compat"],
  });
});
beforeEach(() => {
  server.told.length = 0;
  server.answer = (_told, response) => response.end("fine");
});
afterAll(async () => {
  await workerd.dispose();
  await server.close();
});

async function call(hook: Record<string, unknown> = {}, timeLimitMs = 5_000): Promise<unknown> {
  const body = JSON.stringify({
    hook: { url: `${server.url}/hook`, headers: [], ...hook },
    body: JSON.stringify({ Tag: "grün" }),
    traceId: "trace",
    retriesRemaining: 1,
    timeLimitMs,
  });
  return (await workerd.dispatchFetch("http://worker/", { method: "POST", body })).json();
}

describe("a call in workerd", () => {
  it("arrives with password and headers, also one that is not ASCII", async () => {
    const hook = {
      url: `http://us%20er:pass@127.0.0.1:${server.port}/hook?a=b`,
      headers: [{ name: "X-A", value: "grün" }],
    };
    expect(await call(hook)).toMatchObject({ status: 200 });
    expect(server.told[0]).toMatchObject({
      method: "POST",
      path: "/hook?a=b",
      text: '{"Tag":"grün"}',
      headers: { "user-agent": "Postmark", authorization: `Basic ${btoa("us er:pass")}` },
    });
    expect(server.told[0]?.headers).toHaveProperty("x-a");
  });

  it("follows a redirect as a POST, and stops at one that is none of ours", async () => {
    server.answer = ({ path }, response) =>
      path === "/hook" ? response.writeHead(301, { Location: "/there" }).end() : response.end();
    expect(await call()).toMatchObject({ status: 200 });
    expect(server.told.map((t) => [t.method, t.path, t.text])).toEqual([
      ["POST", "/hook", '{"Tag":"grün"}'],
      ["POST", "/there", '{"Tag":"grün"}'],
    ]);
    server.answer = (_told, response) => response.writeHead(303, { Location: "/there" }).end();
    expect(await call()).toMatchObject({ status: 303 });
  });

  it("waits no longer than it is told to, and says when nobody is there", async () => {
    server.answer = () => {};
    expect(await call({}, 300)).toEqual({ failure: "There was no answer within 0.3 seconds." });
    expect(await call({ url: "http://127.0.0.1:1/" })).toEqual({ failure: "The connection failed." });
  });
});

describe("a long dump in workerd", () => {
  it.each([0, 1, 5_000, 5_001, 123_456])("of %i rows is whole", async (rows) => {
    const response = await workerd.dispatchFetch(`http://worker/${rows}`);
    const { Suppressions } = (await response.json()) as { Suppressions: { EmailAddress: string }[] };
    expect(Suppressions).toHaveLength(rows);
    expect(Suppressions.at(-1)?.EmailAddress).toBe(rows === 0 ? undefined : `${rows - 1}@x.example`);
  });

  it("that fails in its middle does not look whole", async () => {
    const response = await workerd.dispatchFetch("http://worker/300000");
    // How the connection ends is the platform's; what came is in no case JSON.
    await expect(response.json()).rejects.toThrow();
  });
});
