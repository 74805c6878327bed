/** The event log of a running system: what happened to each message, once, though everything is killed while it happens. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

interface Shown {
  Cursor: string;
  ID: string;
  RecordType: string;
  MessageID: string | null;
  Recipient?: string;
  Email?: string;
  Recipients?: string[];
  SuppressSending?: boolean;
}

let system: System;

beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

async function events(query = ""): Promise<Shown[]> {
  const all: Shown[] = [];
  let after = "0";
  for (;;) {
    const { status, json } = await system.api("GET", `/events?count=500&after=${after}${query}`);
    expect(status).toBe(200);
    const { Events, NextCursor, HasMore } = json as unknown as {
      Events: Shown[];
      NextCursor: string;
      HasMore: boolean;
    };
    all.push(...Events);
    if (!HasMore) return all;
    after = NextCursor;
  }
}

const message = (to: string) => ({
  From: "sender@example.com",
  To: to,
  Subject: `For ${to}`,
  TextBody: "Hello",
});

describe("the event log", () => {
  it("is followed live: acceptance, delivery, a bounce and the suppression that it brings", async () => {
    const end = new AbortController();
    const response = await fetch(`${system.local.http}/events/stream?after=0`, {
      headers: { "X-Postmark-Server-Token": system.local.serverToken },
      signal: end.signal,
    });
    expect(response.headers.get("Content-Type")).toBe("text/event-stream; charset=utf-8");
    let text = "";
    const reading = (async () => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
        text += Buffer.from(chunk).toString();
    })().catch((error: Error) => {
      if (error.name !== "AbortError") throw error;
    });
    await system.api("POST", "/email", message("someone@live.example"));
    await system.api("POST", "/email", message("hard-bounce@live.example"));
    const names = () => [...text.matchAll(/^event: (\w+)$/gm)].map((m) => m[1]).toSorted();
    await until("all is told", () => names().length >= 5);
    expect(names()).toEqual(["Accepted", "Accepted", "Bounce", "Delivery", "SubscriptionChange"]);
    end.abort();
    await reading;
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map((m) => Number(m[1]));
    const listed = await events();
    expect(listed.map((e) => Number(e.Cursor))).toEqual(ids);
    expect(await events("&types=bounce")).toMatchObject([
      { Email: "hard-bounce@live.example", Type: "HardBounce" },
    ]);
    expect(await events("&recipient=Someone@live.example")).toMatchObject([
      { RecordType: "Accepted", Recipients: ["someone@live.example"] },
      { RecordType: "Delivery", Details: expect.stringMatching(/^smtp;250 2/) },
    ]);
  });

  it("refuses what is no cursor and no type, and a token that is none", async () => {
    for (const query of ["after=x", "after=-1", "types=Delivery,Nothing", "count=0"])
      for (const path of ["/events", "/events/stream"]) {
        if (path === "/events/stream" && query === "count=0") continue;
        const { status, json } = await system.api("GET", `${path}?${query}`);
        expect([status, json.ErrorCode]).toEqual([422, 700]);
      }
    const { status } = await system.api("GET", "/events/stream", undefined, {
      "X-Postmark-Server-Token": "x",
    });
    expect(status).toBe(401);
  });

  it("has each fact of 300 messages once, after the whole tree was killed twice", async () => {
    const all = Array.from({ length: 300 }, (_, n) => message(`r${n}@d${n % 5}.example`));
    for (const part of [all.slice(0, 150), all.slice(150)]) {
      expect((await system.api("POST", "/email/batch", part)).status).toBe(200);
      // Some are delivered by now, some are told, some are neither.
      await new Promise((done) => setTimeout(done, 1_500));
      system.killTree();
      await system.startAgain();
    }
    let told: Shown[] = [];
    await until(
      "all are told",
      async () => {
        told = (await events("&types=Delivery")).filter((e) => /^r\d+@d/.test(e.Recipient ?? ""));
        return new Set(told.map((e) => e.ID)).size >= 300;
      },
      // What was cut off at its MX is tried again a minute later, and five minutes after that.
      300_000,
    );
    expect(told).toHaveLength(300);
    expect(new Set(told.map((e) => e.Recipient)).size).toBe(300);
    const accepted = (await events("&types=Accepted")).filter((e) => /^r\d+@d/.test(e.Recipients?.[0] ?? ""));
    expect(accepted).toHaveLength(300);
    expect(new Set(accepted.map((e) => e.MessageID))).toEqual(new Set(told.map((e) => e.MessageID)));
  }, 400_000);
});
