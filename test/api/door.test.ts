/** What every route has: the id of the request, a line in the log, and an error object whatever goes wrong. */
import { describe, expect, it } from "vitest";
import { door } from "../../src/api/door.ts";
import { emailEndpoints } from "../../src/api/email.ts";
import { mount } from "../../src/api/endpoint.ts";
import { MESSAGE, recorder, TOKEN } from "./sending.ts";

const ID = "11111111-2222-4333-8444-555555555555";

function open() {
  const lines: Record<string, unknown>[] = [];
  let now = 1000;
  const app = door({
    now: () => {
      now += 5;
      return now;
    },
    newId: () => ID,
    log: (event, fields) => lines.push({ event, ...fields }),
  });
  const made = recorder();
  app.route("/", mount(emailEndpoints(made.needs), made.needs));
  app.get("/bounces", () => {
    throw new Error("broken");
  });
  const send = (headers: Record<string, string> = {}, path = "/email") =>
    app.request(path, {
      method: "POST",
      body: JSON.stringify(MESSAGE),
      headers: { "X-Postmark-Server-Token": TOKEN, "Content-Type": "application/json", ...headers },
    });
  return { app, made, lines, send };
}

describe("the id of a request", () => {
  it.each<[string | undefined, string]>([
    ["order-17/retry=2", "order-17/retry=2"],
    ["x".repeat(128), "x".repeat(128)],
    ["x".repeat(129), ID],
    ["a b", ID],
    ["a\u00e9", ID],
    ["", ID],
    [undefined, ID],
  ])("given %j is %j", async (given, expected) => {
    const { send, lines } = open();
    const response = await send(given === undefined ? {} : { "X-Request-Id": given });
    expect(response.status).toBe(200);
    expect(response.headers.get("X-Request-Id")).toBe(expected);
    expect(lines).toMatchObject([{ event: "request", id: expected }]);
  });

  it("is on errors and unknown routes too", async () => {
    const { app, send } = open();
    for (const response of [
      await send({ "X-Postmark-Server-Token": "" }),
      await app.request("/nothing"),
      await app.request("/bounces"),
    ])
      expect(response.headers.get("X-Request-Id")).toBe(ID);
  });
});

describe("the log", () => {
  it("has one line for a request, without token, address or text", async () => {
    const { send, lines } = open();
    await send({}, "/Email/?to=bob@far.org");
    expect(lines).toEqual([
      { event: "request", id: ID, method: "POST", path: "/email", status: 200, code: undefined, ms: 5 },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/far\.org|Hello|0000002a/);
  });

  it("has the code of a refusal", async () => {
    const { send, lines } = open();
    await send({ "X-Postmark-Server-Token": "nope" });
    expect(lines).toMatchObject([{ status: 401, code: "10" }]);
  });
});

describe("an error object", () => {
  it.each([
    ["GET", "/nothing"],
    ["GET", "/email"],
    ["DELETE", "/email"],
    ["POST", "/email/batch/more"],
  ])("for %s %s, which does not exist", async (method, path) => {
    const response = await open().app.request(path, { method });
    expect([response.status, await response.json()]).toEqual([
      404,
      { ErrorCode: 404, Message: expect.any(String) },
    ]);
  });

  it("for what we did not expect, with an id that the log has beside the cause", async () => {
    const { app, lines } = open();
    const response = await app.request("/Bounces/");
    expect([response.status, await response.json()]).toEqual([
      500,
      { ErrorCode: 101, Message: expect.stringContaining(ID) },
    ]);
    expect(lines).toMatchObject([
      { event: "request failed", id: ID, error: expect.stringContaining("broken") },
      { event: "request", status: 500 },
    ]);
  });

  it.each([
    ["ends", false],
    ["breaks off", true],
  ])("once a body that nobody asked for %s, since its client is still sending", async (_name, breaks) => {
    let chunks = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (++chunks <= 20) controller.enqueue(new Uint8Array(1000));
        else if (breaks) controller.error(new Error("gone"));
        else controller.close();
      },
    });
    const headers = { "X-Postmark-Server-Token": "nope" };
    const response = await open().app.request(
      new Request("http://x/email", { method: "POST", body, headers, duplex: "half" } as RequestInit),
    );
    expect([response.status, chunks]).toEqual([401, 21]);
  });

  it("with 503 when nobody can say whose token it is", async () => {
    const { send, made, lines } = open();
    made.needs.authenticate = async () => {
      throw new Error("directory is away");
    };
    const response = await send();
    expect([response.status, await response.json()]).toEqual([
      503,
      { ErrorCode: 100, Message: expect.any(String) },
    ]);
    expect(response.headers.get("Retry-After")).toBe("2");
    expect(lines[0]).toMatchObject({ cause: expect.stringContaining("directory is away") });
  });
});
