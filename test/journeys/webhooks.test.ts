/** Webhooks of a running system, told of what happens to its mail, at the sink of the local world. */
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

interface Request {
  headers: Record<string, string>;
  body: string;
}

const sink = (name: string) => `${system.local.world.http}/sink/${name}`;
async function requests(name: string): Promise<Request[]> {
  return ((await (await fetch(sink(name))).json()) as { requests: Request[] }).requests;
}
async function told(name: string): Promise<Record<string, unknown>[]> {
  return (await requests(name)).map(({ body }) => JSON.parse(body) as Record<string, unknown>);
}
async function script(name: string, of: object): Promise<void> {
  expect((await fetch(sink(name), { method: "PUT", body: JSON.stringify(of) })).status).toBe(200);
}
const all = Object.fromEntries(
  ["Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange"].map((type) => [
    type,
    { Enabled: true },
  ]),
);
async function make(name: string, of: object = {}): Promise<number> {
  const made = await system.api("POST", "/webhooks", { Url: sink(name), Triggers: all, ...of });
  expect(made.status).toBe(200);
  return Number(made.json.ID);
}
const send = async (to: string, of: object = {}) => {
  const message = { From: "sender@example.com", To: to, Subject: `For ${to}`, TextBody: "Hello", ...of };
  const { status, json } = await system.api("POST", "/email", message);
  expect(status).toBe(200);
  return String(json.MessageID);
};

describe("webhooks", () => {
  it("tell of a delivery, of a bounce and of what it changes, with what proves us", async () => {
    await send("before@live.example");
    await until("it is delivered, and the event log knows", async () => {
      const { json } = await system.api("GET", "/events?types=Delivery");
      return (json.Events as unknown[]).length === 1;
    });
    await make("first", {
      HttpAuth: { Username: "user", Password: "pass" },
      HttpHeaders: [{ Name: "X-Key", Value: "a key" }],
      Triggers: { ...all, Bounce: { Enabled: true, IncludeContent: true } },
    });
    const good = await send("someone@live.example", { Tag: "welcome", Metadata: { a: "b" } });
    const bad = await send("hard-bounce@live.example");
    await until("all is told", async () => (await requests("first")).length >= 3, 30_000);
    const [one] = await requests("first");
    expect(one?.headers).toMatchObject({
      authorization: `Basic ${btoa("user:pass")}`,
      "x-key": "a key",
      "content-type": "application/json",
      "x-pm-retries-remaining": "6",
    });
    const by = Object.fromEntries((await told("first")).map((t) => [t.RecordType, t]));
    expect(by.Delivery).toMatchObject({
      ...{ MessageID: good, Recipient: "someone@live.example", Tag: "welcome", Metadata: { a: "b" } },
      Details: expect.stringMatching(/^smtp;250 2/),
    });
    const bounce = by.Bounce as Record<string, unknown>;
    expect(bounce).toMatchObject({
      ...{ MessageID: bad, Email: "hard-bounce@live.example", Type: "HardBounce", Inactive: true },
      Content: expect.stringContaining("550"),
    });
    const shown = await system.api("GET", `/bounces/${bounce.ID}`);
    for (const field of ["ID", "Type", "TypeCode", "Name", "Details", "From", "Subject", "MessageStream"])
      expect(bounce[field]).toEqual(shown.json[field]);
    expect(by.SubscriptionChange).toMatchObject({
      ...{ Recipient: "hard-bounce@live.example", SuppressSending: true, SuppressionReason: "HardBounce" },
    });
    // What was delivered before the webhook was made is not its business.
    expect(JSON.stringify(await told("first"))).not.toContain("before@live.example");
  }, 60_000);

  it("of a server's settings, and nobody else's types", async () => {
    await system.api("PUT", "/server", { DeliveryHookUrl: sink("of-server") });
    await send("other@live.example");
    await send("hard-bounce@live.example", { To: "hard-bounce+2@live.example" });
    await until("it is told", async () => (await requests("of-server")).length >= 1, 30_000);
    await until("the other hook has heard of both", async () =>
      (await told("first")).some((t) => t.Email === "hard-bounce+2@live.example"),
    );
    expect(await told("of-server")).toMatchObject([
      { RecordType: "Delivery", Recipient: "other@live.example" },
    ]);
    await system.api("PUT", "/server", { DeliveryHookUrl: "" });
  }, 60_000);

  it("are told again what they did not take, and show each call with its reply", async () => {
    await script("failing", { status: 503, times: 1 });
    const id = await make("failing");
    const message = await send("again@live.example");
    await until("it has failed", async () => (await requests("failing")).length === 1, 30_000);
    const list = async () =>
      (await system.api("GET", `/webhooks/${id}/deliveries`)).json.Deliveries as Record<string, unknown>[];
    await until("it is logged", async () => (await list()).length === 1);
    expect(await list()).toMatchObject([
      { TriggerType: "Delivery", MessageID: message, StatusCode: 503, Outcome: "WillRetry", RetryCount: 0 },
    ]);
    expect((await system.api("GET", `/webhooks/${id}/statistics`)).json).toMatchObject({
      Id: id,
      Statistics: expect.arrayContaining([
        expect.objectContaining({
          TriggerType: "Delivery",
          SuccessCount: 0,
          FailureCount: 1,
          WaitingCount: 1,
        }),
      ]),
    });
    const replayed = await system.api("POST", `/webhooks/${id}/deliveries/1/replay`);
    expect(replayed.json).toMatchObject({ ErrorCode: 0 });
    await until("it is taken", async () => (await list())[0]?.Outcome === "Delivered");
    const shown = await system.api("GET", `/webhooks/${id}/deliveries/2`);
    expect(shown.json).toMatchObject({
      Request: { Url: sink("failing"), Body: expect.stringContaining(message) },
      Response: { StatusCode: 200 },
    });
    const ids = (await requests("failing")).map(({ headers }) => headers["x-pm-webhook-trace-id"]);
    expect(ids[0]).toBe(ids[1]);
    const range = await system.api("POST", `/webhooks/${id}/replay`, {
      From: "2020-01-01",
      Triggers: ["Delivery"],
    });
    expect(range.json).toMatchObject({ ErrorCode: 0 });
    await until("all deliveries that there were are told", async () =>
      (await told("failing")).some((t) => t.Recipient === "before@live.example"),
    );
    for (const path of ["deliveries/99999", "deliveries/x"])
      expect((await system.api("GET", `/webhooks/${id}/${path}`)).json.ErrorCode).toBe(1352);
    const wrong = await system.api("POST", `/webhooks/${id}/replay`, {
      From: "2021-01-02",
      To: "2020-01-01",
    });
    expect([wrong.status, wrong.json.ErrorCode]).toEqual([422, 1361]);
  }, 90_000);

  it("are signed by a secret that was made for them, and by two while one is replaced", async () => {
    const id = await make("signed");
    const first = (await system.api("POST", `/webhooks/${id}/secrets`)).json;
    const second = (await system.api("POST", `/webhooks/${id}/secrets`)).json;
    expect((await system.api("POST", `/webhooks/${id}/secrets`)).json.ErrorCode).toBe(1359);
    await send("signed@live.example");
    await until("it is told", async () => (await requests("signed")).length === 1, 30_000);
    const [{ body = "", headers = {} } = {}] = await requests("signed");
    for (const { Secret } of [first, second]) new Webhook(String(Secret)).verify(body, headers);
    const listed = (await system.api("GET", `/webhooks/${id}/secrets`)).json.Secrets as { ID: string }[];
    expect(listed.map((s) => s.ID)).toEqual([second.ID, first.ID]);
    expect(JSON.stringify(listed)).not.toContain(String(first.Secret));
    expect((await system.api("DELETE", `/webhooks/${id}/secrets/${first.ID}`)).status).toBe(200);
    await send("signed2@live.example");
    await until("it is told", async () => (await requests("signed")).length === 2);
    const next = (await requests("signed"))[1];
    expect(() => new Webhook(String(first.Secret)).verify(next?.body ?? "", next?.headers ?? {})).toThrow();
    new Webhook(String(second.Secret)).verify(next?.body ?? "", next?.headers ?? {});
  }, 60_000);

  it("that hang keep no other waiting, and everything is told after the whole tree was killed", async () => {
    await script("hanging", { delayMs: 600_000, times: 1_000 });
    await make("hanging");
    await make("steady");
    const sent: string[] = [];
    for (let i = 0; i < 10; i++) sent.push(await send(`r${i}@live.example`));
    await until("the steady one is told", async () => (await requests("steady")).length >= 10, 30_000);
    for (let i = 10; i < 30; i++) sent.push(await send(`r${i}@live.example`));
    system.killTree();
    // Where the webhooks' URLs point to.
    const { port } = new URL(system.local.world.http);
    await system.startAgain({ EDGEPOST_WORLD_PORT: port });
    for (let i = 30; i < 40; i++) sent.push(await send(`r${i}@live.example`));
    const heard = new Set<unknown>();
    // The sink of the local world forgets with the tree: what it heard before is gone, and what it hears from now on is what was left.
    await until(
      "what came after the kill is told",
      async () => {
        for (const { MessageID } of await told("steady")) heard.add(MessageID);
        return sent.slice(30).every((id) => heard.has(id));
      },
      60_000,
    );
    const { json } = await system.api("GET", "/webhooks");
    const steady = (json.Webhooks as { ID: number; Url: string }[]).find((w) => w.Url.endsWith("/steady"));
    const known = async () => {
      const { json: page } = await system.api("GET", `/webhooks/${steady?.ID}/deliveries?count=500`);
      return new Set((page.Deliveries as { MessageID: string }[]).map((d) => d.MessageID));
    };
    await until(
      "each was told",
      async () => {
        const ids = await known();
        return sent.every((id) => ids.has(id));
      },
      // An attempt that was cut off is made again after its claim has lapsed, or after the first wait of the schedule.
      240_000,
    );
  }, 420_000);
});
