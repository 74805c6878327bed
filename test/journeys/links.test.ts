/**
 * Links of messages in the whole system: opens, clicks and unsubscribing end in lists, statistics and the event log, though
 * everything is killed right after the reader was answered, or D1 is away.
 */
import { request as httpRequest } from "node:http";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { secretsOf } from "../../src/local/secrets.ts";
import {
  clickPath,
  fillRecipient,
  openPath,
  trackingKey,
  unsubscribePath,
} from "../../src/mail/tracking-link.ts";
import { System, until } from "./system.ts";

let system: System;
let key: CryptoKey;

beforeAll(async () => {
  system = await System.start(undefined, { EDGEPOST_WORKER_ENTRY: "test/journeys/wrapped-worker.ts" });
  key = await trackingKey(secretsOf(system.home).deployment);
}, 100_000);
afterAll(() => system.remove());

interface Links {
  id: string;
  open: string;
  leave: string;
  click(target: string): Promise<string>;
}

async function send(to: string): Promise<Links> {
  const body = { From: "sender@example.com", To: to, Subject: "s", HtmlBody: "<p>Hello", Tag: "links" };
  const { status, json } = await system.api("POST", "/email", body);
  expect(status).toBe(200);
  const id = String(json.MessageID);
  const of = { serverId: system.local.serverId, messageId: id };
  const field = await fillRecipient(key, id, 0);
  return {
    id,
    open: await openPath(key, of, field),
    leave: await unsubscribePath(key, of, field),
    click: (target) => clickPath(key, of, field, target),
  };
}

const follow = (path: string, init: RequestInit = {}) =>
  fetch(system.local.http + path, { redirect: "manual", ...init });

/** With a Host of its own, which fetch does not allow. */
function followAt(host: string, path: string): Promise<{ status: number; location?: string }> {
  return new Promise((resolve, reject) => {
    const url = system.local.http + path;
    const asked = httpRequest(url, { headers: { Host: host } }, (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, location: response.headers.location });
    });
    asked.on("error", reject);
    asked.end();
  });
}

type Told = Record<string, unknown>;
async function events(type: string, id?: string): Promise<Told[]> {
  const of = id === undefined ? "" : `&messageid=${id}`;
  const { json } = await system.api("GET", `/events?count=500&types=${type}${of}`);
  return (json.Events as Told[]).filter((event) => id === undefined || event.MessageID === id);
}

async function fault(which: string): Promise<void> {
  await fetch(`${system.local.http}/test/faults?${which}=1`);
}

const namedPlace = (purpose: "b" | "c", place: number) =>
  new RegExp(`${purpose}-[0-9a-f]{32}-[0-9a-z]{1,9}-${place}-[0-9a-f]{16}@`);

describe("links of a message", () => {
  it("are followed: an open and a click are listed, counted and told, at a customer's own domain too", async () => {
    const links = await send("reader@links.example");
    const opened = await follow(links.open, { headers: { "User-Agent": "via ggpht.com GoogleImageProxy" } });
    expect([opened.status, (await opened.arrayBuffer()).byteLength]).toEqual([200, 43]);
    const target = "https://shop.example/?a=b";
    const clicked = await followAt("track.customer.example", await links.click(target));
    expect(clicked).toEqual({ status: 302, location: target });
    await until("both are told", async () => {
      return (await events("Open", links.id)).length + (await events("Click", links.id)).length === 2;
    });
    expect(await events("Open", links.id)).toMatchObject([
      { Recipient: "reader@links.example", FirstOpen: true, Tag: "links", Client: { Family: "Gmail" } },
    ]);
    expect(await events("Click", links.id)).toMatchObject([{ OriginalLink: target, ClickLocation: "HTML" }]);
    const list = async (kind: string) =>
      (await system.api("GET", `/messages/outbound/${kind}/${links.id}?count=10&offset=0`)).json;
    expect(await list("opens")).toMatchObject({ TotalCount: 1 });
    expect(await list("clicks")).toMatchObject({ TotalCount: 1 });
    const { json } = await system.api("GET", "/stats/outbound?tag=links");
    expect(json).toMatchObject({ UniqueOpens: 1, Opens: 1, UniqueLinksClicked: 1, TotalClicks: 1 });
  });

  it("are in messages that ask for them: each recipient's own lead where the author's did, under their own name", async () => {
    const recipients = ["one@asked.example", "two@asked.example"];
    const target = "https://shop.example/?who=everybody";
    const body = {
      ...{ From: "sender@example.com", To: recipients.join(), Subject: "s", TrackOpens: true },
      ...{ TrackLinks: "HtmlAndText", HtmlBody: `<a href="${target}">Shop</a>`, TextBody: `Shop: ${target}` },
    };
    const { json } = await system.api("POST", "/email", body);
    const id = String(json.MessageID);
    const path = (url = "") => url.slice(new URL(url).origin.length);
    for (const [place, to] of recipients.entries()) {
      const { raw, envelope } = await system.arrives(to);
      // What the reader could report to is good for them only.
      expect(envelope.from).toMatch(namedPlace("b", place));
      expect(raw).toMatch(new RegExp(`^X-Complaints-To: ${namedPlace("c", place).source}`, "m"));
      const { html = "", text = "" } = await PostalMime.parse(raw);
      const [, pixel] = /<img[^>]* src="([^"]+)"/.exec(html) ?? [];
      const [, link] = /<a href="([^"]+)"/.exec(html) ?? [];
      expect((await follow(path(pixel))).status).toBe(200);
      expect((await follow(path(link))).headers.get("Location")).toBe(target);
      const [inText] = /http\S+/.exec(text) ?? [];
      expect((await follow(path(inText))).headers.get("Location")).toBe(target);
    }
    await until("all are told", async () => {
      return (await events("Open", id)).length + (await events("Click", id)).length === 6;
    });
    expect((await events("Open", id)).map((event) => event.Recipient).toSorted()).toEqual(recipients);
    const clicks = await events("Click", id);
    for (const to of recipients)
      expect(
        clicks
          .filter((event) => event.Recipient === to)
          .map((event) => event.ClickLocation)
          .toSorted(),
      ).toEqual(["HTML", "Text"]);
  });

  it("are not needed for a return path of one's own: who gets a copy alone has one", async () => {
    const to = ["a@one.alone.example", "b@two.alone.example"];
    const body = { From: "sender@example.com", To: to.join(), Subject: "s", TextBody: "t" };
    expect((await system.api("POST", "/email", body)).status).toBe(200);
    for (const [place, email] of to.entries())
      expect((await system.arrives(email)).envelope.from).toMatch(namedPlace("b", place));
  });

  it("cost a few rows alone, and hardly any together", async () => {
    const all = await Promise.all(Array.from({ length: 100 }, (_, n) => send(`c${n}@cost.example`)));
    const told = async (count: number) =>
      until("all are told", async () => {
        const opens = await events("Open");
        return opens.filter((event) => String(event.Recipient).endsWith("@cost.example")).length === count;
      });
    await system.arrives("c99@cost.example");
    // What the archive is told of them meanwhile.
    await new Promise((done) => setTimeout(done, 15_000));
    const costOf = async (links: Links[], count: number) => {
      await fetch(`${system.local.http}/test/counts`, { method: "DELETE" });
      const times = await Promise.all(
        links.map(async ({ open }) => {
          const started = performance.now();
          expect((await follow(open)).status).toBe(200);
          return performance.now() - started;
        }),
      );
      await new Promise((done) => setTimeout(done, 5_000));
      const response = await fetch(`${system.local.http}/test/counts`);
      await told(count);
      if (process.env.EDGEPOST_TEST_FIGURES)
        console.log(
          links.length,
          times.toSorted((a, b) => a - b),
        );
      return (await response.json()) as Record<string, number>;
    };
    // The first makes the object's table.
    await costOf(all.slice(0, 1), 1);
    const alone = await costOf(all.slice(1, 2), 2);
    const together = await costOf(all.slice(2), 100);
    if (process.env.EDGEPOST_TEST_FIGURES) console.log(alone, together);
    // A row with its index entry, two counters for the tag, the mark; a pack, its alarm and its end, and the event.
    expect(alone.d1RowsWritten).toBeLessThanOrEqual(5);
    expect(alone.objectRowsWritten).toBeLessThanOrEqual(5);
    expect(together.d1RowsWritten).toBeLessThanOrEqual(98 * 2.2);
    expect(together.objectRowsWritten).toBeLessThanOrEqual(98);
  });

  it("lose nothing when workerd is killed as soon as readers were answered, however often", async () => {
    const all = await Promise.all(Array.from({ length: 12 }, (_, n) => send(`k${n}@killed.example`)));
    for (const links of all) {
      await until("the Worker is there", async () => {
        try {
          return (await follow(links.open)).status === 200;
        } catch {
          // Killed, and not yet back: this reader comes again.
          return false;
        }
      });
      if (all.indexOf(links) % 3 === 0) system.kill("workerd");
    }
    await until(
      "all are told",
      async () => {
        const told = await events("Open").catch(() => []);
        const ours = told.filter(
          (event) => String(event.Recipient).endsWith("@killed.example") && event.FirstOpen,
        );
        return new Set(ours.map((event) => event.Recipient)).size === all.length;
      },
      60_000,
    );
    for (const { id } of all) {
      const { json } = await system.api("GET", `/messages/outbound/opens/${id}?count=10&offset=0`);
      expect(json).toMatchObject({ TotalCount: 1 });
    }
  }, 120_000);

  it("lead on while D1 refuses, and nobody waits for it; all of it is there afterwards, once", async () => {
    const links = await send("away@links.example");
    await system.arrives("away@links.example");
    await fault("d1");
    const target = "https://shop.example/away";
    const click = await links.click(target);
    const started = performance.now();
    for (let i = 0; i < 20; i++) {
      expect((await follow(click)).status).toBe(302);
      // What one person does twice in a millisecond is one.
      await new Promise((done) => setTimeout(done, 5));
    }
    // Half a second each would be ten.
    expect(performance.now() - started).toBeLessThan(10_000);
    await new Promise((done) => setTimeout(done, 4_000));
    system.kill("workerd");
    await until("the Worker is back", async () => (await follow("/").catch(() => undefined)) !== undefined);
    await fault("none");
    await until("all are told", async () => (await events("Click", links.id)).length >= 20);
    expect((await events("Click", links.id)).filter((event) => event.OriginalLink === target)).toHaveLength(
      20,
    );
    const { json } = await system.api("GET", "/stats/outbound/clicks?tag=links");
    expect(json).toBeTruthy();
  }, 120_000);

  it("unsubscribe: the next send is refused, the change is told, and taken back by the recipient it is sent again", async () => {
    const to = "leaver@links.example";
    const links = await send(to);
    await system.arrives(to);
    expect((await follow(links.leave)).status).toBe(200);
    const message = { From: "sender@example.com", To: to, Subject: "s", TextBody: "t" };
    expect((await system.api("POST", "/email", message)).status).toBe(200);
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const post = (body: string) => follow(links.leave, { method: "POST", body, headers });
    const left = await post("List-Unsubscribe=One-Click");
    expect([left.status, await left.text()]).toEqual([200, expect.stringContaining("You are unsubscribed")]);
    expect(await system.api("POST", "/email", message)).toMatchObject({ json: { ErrorCode: 406 } });
    const { json } = await system.api(
      "GET",
      `/message-streams/outbound/suppressions/dump?EmailAddress=${to}`,
    );
    expect(json.Suppressions).toMatchObject([
      { EmailAddress: to, SuppressionReason: "ManualSuppression", Origin: "Recipient" },
    ]);
    // The server's owner cannot take that back.
    const removed = await system.api("POST", "/message-streams/outbound/suppressions/delete", {
      Suppressions: [{ EmailAddress: to }],
    });
    expect(removed.json.Suppressions).toMatchObject([{ Status: "Failed" }]);
    expect((await post("action=resubscribe")).status).toBe(200);
    expect((await system.api("POST", "/email", message)).status).toBe(200);
    await until("both are told", async () => {
      return (await events("SubscriptionChange")).filter((event) => event.Recipient === to).length === 2;
    });
    const changes = (await events("SubscriptionChange")).filter((event) => event.Recipient === to);
    expect(changes).toMatchObject([
      {
        ...{ SuppressSending: true, SuppressionReason: "ManualSuppression", Origin: "Recipient" },
        ...{ MessageID: links.id, Tag: "links" },
      },
      { SuppressSending: false, SuppressionReason: null, Origin: "Recipient", MessageID: null },
    ]);
  });

  it("unsubscribe while D1 refuses: kept, though everything is killed, and done when it is back", async () => {
    const to = "patient@links.example";
    const links = await send(to);
    await system.arrives(to);
    await fault("d1");
    const left = await follow(links.leave, { method: "POST" });
    expect([left.status, await left.text()]).toEqual([200, expect.stringContaining("You are unsubscribed")]);
    system.killTree();
    await system.startAgain({ EDGEPOST_WORKER_ENTRY: "test/journeys/wrapped-worker.ts" });
    const message = { From: "sender@example.com", To: to, Subject: "s", TextBody: "t" };
    await until("the next send is refused", async () => {
      return (await system.api("POST", "/email", message)).json.ErrorCode === 406;
    });
  }, 120_000);
});
