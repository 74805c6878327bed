/** The inbox and the webhook sink over HTTP. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { refusalOf, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.start();
});
beforeEach(async () => {
  await fetch(`${world.http}/inbox`, { method: "DELETE" });
});
afterAll(() => world.remove());

async function idsOf(query: Record<string, string>): Promise<string[]> {
  const messages = await world.inbox(query);
  return messages.map(({ raw }) => /Message-ID: <(.*)@test>/.exec(raw)?.[1] ?? "");
}

describe("the inbox", () => {
  it("is newest first, and finds by recipient, sender, subject and time", async () => {
    await world.send({ id: "1", to: ["a@x.example", "b@x.example"], subject: "First" });
    await world.send({
      id: "2",
      to: "b@x.example",
      from: "other@example.com",
      subject: "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    });
    await world.send({ id: "3", to: "c@xn--bcher-kva.example", subject: "a folded\r\n  subject" });
    expect(await idsOf({})).toEqual(["3", "2", "1"]);
    expect(await idsOf({ to: "B@X.example" })).toEqual(["2", "1"]);
    expect(await idsOf({ to: "x.example" })).toEqual([]);
    expect(await idsOf({ to: "c@xn--bcher-kva.example" })).toEqual(["3"]);
    expect(await idsOf({ to: "c@bücher.example" })).toEqual(["3"]);
    expect(await idsOf({ from: "other@example.com" })).toEqual(["2"]);
    expect(await idsOf({ subject: "grüße" })).toEqual(["2"]);
    expect(await idsOf({ subject: "folded  subject" })).toEqual(["3"]);
    expect(await idsOf({ limit: "2" })).toEqual(["3", "2"]);
    const [newest] = await world.inbox();
    expect(await idsOf({ since: String(newest?.receivedAt) })).toContain("3");
    expect(await idsOf({ since: String((newest?.receivedAt ?? 0) + 1) })).toEqual([]);
  });

  it("says what is wrong with a query", async () => {
    for (const query of ["limit=0", "limit=x", "since=yesterday"])
      expect((await fetch(`${world.http}/inbox?${query}`)).status).toBe(400);
  });

  it("counts, and begins again when it is cleared", async () => {
    const count = async () => (await fetch(`${world.http}/inbox/count`)).json();
    await world.send({ to: "a@x.example" });
    await world.send({ to: "a@x.example" });
    await refusalOf(world.send({ to: "hard-bounce@x.example" }));
    await refusalOf(world.send({ to: "blocked@x.example" }));
    expect(await count()).toEqual({ accepted: 2, refused: 2 });
    await fetch(`${world.http}/inbox`, { method: "DELETE" });
    expect(await count()).toEqual({ accepted: 0, refused: 0 });
    expect(await world.inbox()).toEqual([]);
    await world.send({ id: "after", to: "a@x.example" });
    expect(await idsOf({})).toEqual(["after"]);
  });

  it("witnesses what was stored and what was answered, by Edgepost's own id when there is one", async () => {
    await world.send({ id: "w1", to: "a@x.example", headers: ["X-PM-Message-Id: 0193-id"] });
    await refusalOf(world.send({ id: "w2", to: "after-dot-witness@x.example" }));
    const witness = await world.witness();
    expect(witness).toMatchObject([
      {
        messageId: "0193-id",
        to: ["a@x.example"],
        receivedAt: expect.any(Number),
        repliedAt: expect.any(Number),
      },
      { messageId: "w2@test", to: ["after-dot-witness@x.example"], repliedAt: null },
    ]);
  });

  it("does not know a message that is not there", async () => {
    expect((await fetch(`${world.http}/inbox/99-0/raw`)).status).toBe(404);
  });
});

describe("the webhook sink", () => {
  const post = (name: string, body: string) =>
    fetch(`${world.http}/sink/${name}`, { method: "POST", headers: { "X-Test": "yes" }, body });

  it("keeps what came, oldest first, each name on its own", async () => {
    expect((await post("a", "one")).status).toBe(200);
    await post("a", "two");
    const { requests } = (await (await fetch(`${world.http}/sink/a`)).json()) as {
      requests: { body: string }[];
    };
    expect(requests).toMatchObject([
      { body: "one", headers: { "x-test": "yes" }, at: expect.any(Number) },
      { body: "two" },
    ]);
    expect(await (await fetch(`${world.http}/sink/empty`)).json()).toEqual({ requests: [] });
  });

  it("answers as scripted for so many times, and keeps those too", async () => {
    const script = JSON.stringify({ status: 500, delayMs: 0, times: 2 });
    await fetch(`${world.http}/sink/b`, { method: "PUT", body: script });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await post("b", String(i))).status);
    expect(statuses).toEqual([500, 500, 200]);
    const { requests } = (await (await fetch(`${world.http}/sink/b`)).json()) as { requests: unknown[] };
    expect(requests).toHaveLength(3);
  });

  it.each(["", "{", '{"status":99}', '{"times":-1}'])("refuses %s as a script", async (body) => {
    expect((await fetch(`${world.http}/sink/c`, { method: "PUT", body })).status).toBe(400);
  });
});
