/** The doors behind links: what is let through, what is told of it, and what nobody can make of them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { isTrackingPath, type TrackingDoorNeeds, trackingDoor } from "../../src/api/tracking.ts";
import { writeRecords } from "../../src/archive/write.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import {
  clickPath,
  fillRecipient,
  openPath,
  trackingKey,
  unsubscribePath,
} from "../../src/mail/tracking-link.ts";
import { suppress } from "../../src/suppress/list.ts";
import type { SeenFact } from "../../src/track/seen-fact.ts";
import { type Databases, delivered, message, NOON, openDatabases } from "../archive/databases.ts";

const HOST = "https://track.customer.example";
const TARGET = "https://shop.example/a?b=c&d=1#e";
/** A D1 that refuses. */
const AWAY = {
  prepare: () => AWAY,
  bind: () => AWAY,
  run: () => Promise.reject(new Error("D1: away")),
  batch: () => Promise.reject(new Error("D1: away")),
  all: () => Promise.reject(new Error("D1: away")),
  raw: () => Promise.reject(new Error("D1: away")),
} as unknown as D1Database & { bind(): unknown };
const never = () => new Promise<never>(() => undefined);
/** A D1 that never answers. */
const SILENT = {
  prepare: () => SILENT,
  bind: () => SILENT,
  run: never,
  batch: never,
  all: never,
  raw: never,
} as unknown as D1Database & { bind(): unknown };

let db: Databases;
let key: CryptoKey;
let sent: MessageRecord;
let needs: TrackingDoorNeeds;
let kept: { serverId: number; fact: SeenFact }[];
let recorded: SeenFact[];
let logged: string[];
let announced: unknown[];
let beside: Promise<unknown>[];
let door: (request: Request) => Promise<Response>;

beforeAll(async () => {
  db = await openDatabases();
  key = await trackingKey("a secret");
});
afterAll(() => db.dispose());
beforeEach(async () => {
  await db.clear();
  sent = message([delivered("a@x.example"), delivered("b@x.example")], {
    stream: "news",
    summary: { from: { email: "shop@example.com", name: "The <b>Shop</b>" } },
  });
  await writeRecords(db.archive, [sent], []);
  [kept, recorded, logged, announced, beside] = [[], [], [], [], []];
  needs = {
    directory: db.directory,
    archive: () => db.archive,
    now: () => NOON,
    log: (event, fields) => logged.push(JSON.stringify({ event, ...fields })),
    key: async () => key,
    heldRecords: async () => [],
    announce: async (_, changes) => {
      announced.push(...changes);
    },
    see: async (serverId, fact) => {
      kept.push({ serverId, fact });
    },
    recordNow: async (_, fact) => {
      recorded.push(fact);
    },
    waitUntil: (promise) => beside.push(promise),
  };
  door = trackingDoor(needs);
});

const of = () => ({ serverId: 1, messageId: sent.id });
/** Seconds pass as fast as anything happens: not for what asks a real database. */
async function seconds<T>(work: Promise<T>): Promise<T> {
  if (!vi.isFakeTimers()) vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  void work.then(end, end);
  for (let passed = 0; !isOver; passed++) {
    if (passed > 10_000) throw new Error("it never ends");
    await new Promise(setImmediate);
    vi.advanceTimersByTime(100);
  }
  return work;
}
afterEach(() => void vi.useRealTimers());

const field = (index = 0) => fillRecipient(key, sent.id, index);
const openUrl = async (index = 0) => HOST + (await openPath(key, of(), await field(index)));
const clickUrl = async (target = TARGET) => HOST + (await clickPath(key, of(), await field(), target));
const leaveUrl = async (index = 0) => HOST + (await unsubscribePath(key, of(), await field(index)));
const ask = (url: string, init: RequestInit = {}) => door(new Request(url, init));
const textOf = async (response: Response) => (await response.text()).replaceAll(/\s+/g, " ");

describe("an open", () => {
  it("is a picture of 43 bytes that nobody keeps, and is told with who asked", async () => {
    const request = new Request(await openUrl(1), {
      headers: { "User-Agent": "Test/1", "CF-Connecting-IP": "192.0.2.9" },
    });
    Object.assign(request, { cf: { country: "NZ", city: "Taupō", asn: 1 } });
    const response = await door(request);
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toBe("image/gif");
    expect(response.headers.get("Cache-Control")).toContain("no-store");
    expect(response.headers.get("Set-Cookie")).toBeNull();
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes).toHaveLength(43);
    expect(bytes.subarray(0, 6).toString()).toBe("GIF89a");
    const visitor = { userAgent: "Test/1", ip: "192.0.2.9", place: { country: "NZ", city: "Taupō" } };
    expect(kept).toEqual([
      { serverId: 1, fact: { kind: "open", messageId: sent.id, index: 1, at: NOON, visitor } },
    ]);
  });

  it("by HEAD is none", async () => {
    const response = await ask(await openUrl(), { method: "HEAD" });
    expect([response.status, response.headers.get("Content-Length")]).toEqual([200, "43"]);
    expect(kept).toEqual([]);
  });

  it("has no more of a user agent than any program has", async () => {
    await ask(await openUrl(), { headers: { "User-Agent": "x".repeat(8_000) } });
    expect(kept[0]?.fact).toMatchObject({ visitor: { userAgent: "x".repeat(500) } });
  });
});

describe("a click", () => {
  it("leads where it did before, tells that page nothing, and is told", async () => {
    const response = await ask(await clickUrl());
    expect([response.status, response.headers.get("Location")]).toEqual([302, TARGET]);
    expect(response.headers.get("Referrer-Policy")).toBe("no-referrer");
    expect(response.headers.get("Cache-Control")).toContain("no-store");
    expect(kept).toMatchObject([{ fact: { kind: "click", link: TARGET, location: "HTML", index: 0 } }]);
  });

  it("by HEAD leads there, and is none", async () => {
    const response = await ask(await clickUrl(), { method: "HEAD" });
    expect([response.status, response.headers.get("Location")]).toEqual([302, TARGET]);
    expect(kept).toEqual([]);
  });

  it("whatever a mail program hangs behind it", async () => {
    expect((await ask(`${await clickUrl()}?utm_source=x`)).headers.get("Location")).toBe(TARGET);
  });

  it("says in a header what a header can say", async () => {
    const location = async (target: string) => (await ask(await clickUrl(target))).headers.get("Location");
    expect(await location("https://shop.example")).toBe("https://shop.example");
    expect(await location("https://shop.example/é ü")).toBe("https://shop.example/%C3%A9%20%C3%BC");
    const split = await location("https://shop.example/\r\nSet-Cookie: a=b");
    expect(split).not.toMatch(/[\r\n]/);
  });

  it.each(["POST", "PUT", "DELETE"])("is not made by %s", async (method) => {
    const response = await ask(await clickUrl(), { method });
    expect([response.status, response.headers.get("Allow")]).toEqual([405, "GET, HEAD"]);
    expect(kept).toEqual([]);
  });
});

describe("what keeps opens and clicks", () => {
  it("is waited for a moment only", async () => {
    needs.see = () => new Promise(() => undefined);
    expect((await ask(await clickUrl())).status).toBe(302);
    expect(beside).toHaveLength(1);
  });

  it("may refuse: then it is recorded at once, and the reader goes on either way", async () => {
    needs.see = () => Promise.reject(new Error("away"));
    expect((await ask(await clickUrl())).status).toBe(302);
    await Promise.all(beside);
    expect(recorded).toMatchObject([{ kind: "click" }]);
    needs.recordNow = () => Promise.reject(new Error("away too"));
    expect((await ask(await openUrl())).status).toBe(200);
    await Promise.all(beside);
    expect(logged.at(-1)).toContain("seen lost");
    // Neither the link's target nor anything that opens the link again.
    expect(logged.join()).not.toContain("shop.example");
  });

  it("may never answer: then it is recorded at once, and what never answers to that takes no later one's place", async () => {
    needs.see = never;
    needs.recordNow = never;
    const url = await openUrl();
    for (let n = 0; n < 20; n++) expect((await seconds(ask(url))).status).toBe(200);
    await seconds(Promise.all(beside));
    expect(logged.filter((line) => line.includes("seen lost"))).toHaveLength(20);
    needs.recordNow = async (_, fact) => void recorded.push(fact);
    await seconds(ask(url));
    await seconds(Promise.all(beside));
    expect(recorded).toHaveLength(1);
  });

  it("may refuse a crowd: the databases are spared", async () => {
    let now = 0;
    let most = 0;
    needs.see = () => Promise.reject(new Error("away"));
    needs.recordNow = async () => {
      most = Math.max(most, ++now);
      await new Promise((done) => setTimeout(done, 20));
      now--;
    };
    const url = await openUrl();
    await Promise.all(Array.from({ length: 100 }, () => ask(url)));
    await Promise.all(beside);
    expect(most).toBe(20);
  });
});

describe("a link that is not ours", () => {
  it("is a page that leads nowhere, whichever character was changed, and is told to nobody", async () => {
    for (const url of [await openUrl(), await clickUrl(), await leaveUrl()]) {
      const path = url.slice(HOST.length);
      for (let i = 3; i < path.length; i++) {
        if ("/.".includes(path.charAt(i))) continue;
        const changed = path.slice(0, i) + (path[i] === "a" ? "b" : "a") + path.slice(i + 1);
        const response = await ask(HOST + changed);
        // The last character of base64 may hold bits that say nothing.
        if (response.status === 302 && i === path.length - 1) continue;
        expect([changed, response.status]).toEqual([changed, 404]);
        expect(response.headers.get("Location")).toBeNull();
      }
    }
    expect(kept.filter(({ fact }) => fact.kind !== "click")).toEqual([]);
  });

  it("is one with another target, another recipient, another message's parts, another door, or none", async () => {
    const other = { serverId: 1, messageId: message([]).id };
    const theirs = HOST + (await clickPath(key, other, await fillRecipient(key, other.messageId, 0), TARGET));
    const click = await clickUrl();
    const [, , token = "", written = ""] = click.slice(HOST.length).split("/");
    const [, , theirToken = ""] = theirs.slice(HOST.length).split("/");
    const elsewhere = Buffer.from("https://evil.example/").toString("base64url");
    const head = token.slice(0, -8);
    const wrong = [
      `/c/${token}/${elsewhere}`,
      `/c/${token}/h${elsewhere}`,
      `/c/${token}/`,
      `/c/${token}`,
      `/c/${token}/${written}/`,
      `/c/${token}/${written}/x`,
      `/c//${written}`,
      `/c/${theirToken.slice(0, 48)}${token.slice(48)}/${written}`,
      `/c/${head}${theirToken.slice(-8)}/${written}`,
      `/c/${token.toUpperCase()}/${written}`,
      `/c/${token}/${"A".repeat(100_000)}`,
      `/o/${token}.gif`,
      `/u/${token}`,
      `/u/${token}/${written}`,
      "/o/",
      "/c/",
      "/u/",
      "/o/%00.gif",
      "/c/%2e%2e/x",
      "/c/https://evil.example/",
      "/c///evil.example",
    ];
    for (const path of wrong) {
      const response = await ask(HOST + path);
      expect([path, response.status, response.headers.get("Location")]).toEqual([path, 404, null]);
    }
    for (const path of wrong) expect((await ask(HOST + path, { method: "POST" })).status).not.toBe(200);
    expect(kept).toEqual([]);
    expect(await db.directory.prepare("SELECT * FROM suppressions").all()).toMatchObject({ results: [] });
  });

  it("is no path of the API", () => {
    for (const path of ["/o/x", "/c/x/y", "/u/x"]) expect(isTrackingPath(path)).toBe(true);
    for (const path of ["/", "/o", "/email", "/ox/y", "/O/x", "/users/u/x"])
      expect(isTrackingPath(path)).toBe(false);
  });
});

describe("unsubscribing", () => {
  const rows = async () =>
    (
      await db.directory
        .prepare("SELECT stream, email, reason, origin, removed_at FROM suppressions ORDER BY email")
        .all()
    ).results;
  const ONE = { stream: "news", email: "a@x.example", reason: "ManualSuppression", origin: "Recipient" };
  const post = async (body?: string | FormData, url?: string) =>
    ask(url ?? (await leaveUrl()), {
      method: "POST",
      body,
      ...(typeof body === "string" && { headers: { "Content-Type": "application/x-www-form-urlencoded" } }),
    });

  it("asks, as often as it is looked at, and changes nothing", async () => {
    for (const method of ["GET", "HEAD", "GET"]) {
      const response = await ask(await leaveUrl(), { method });
      expect(response.status).toBe(200);
      const text = await textOf(response);
      if (method === "HEAD") continue;
      expect(text).toContain("a@x.example");
      expect(text).toContain("The &lt;b&gt;Shop&lt;/b&gt; (shop@example.com)");
      expect(text).toContain('<form method="post">');
    }
    expect(await rows()).toEqual([]);
    expect(kept).toEqual([]);
  });

  it("shows a page that loads nothing, cannot be framed and tells its address to nobody", async () => {
    const { headers } = await ask(await leaveUrl());
    expect(headers.get("Content-Security-Policy")).toMatch(
      /^default-src 'none'; style-src 'nonce-\S+'; script-src 'nonce-\S+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get("Referrer-Policy")).toBe("no-referrer");
    expect(headers.get("Cache-Control")).toBe("no-store");
    expect(headers.get("X-Robots-Tag")).toContain("noindex");
  });

  const form = new FormData();
  form.set("List-Unsubscribe", "One-Click");
  it.each([
    ["one click", "List-Unsubscribe=One-Click"],
    ["one click as multipart", form],
    ["the page's button", "action=unsubscribe"],
    ["nothing", undefined],
    ["something else", "x".repeat(100_000)],
  ])(
    "by a POST of %s is done when it says so, without a redirect, and again without a change",
    async (_, body) => {
      const response = await post(body);
      expect(response.status).toBe(200);
      expect(await textOf(response)).toContain("You are unsubscribed");
      expect(await rows()).toEqual([{ ...ONE, removed_at: null }]);
      expect(announced).toEqual([{ stream: "news", email: "a@x.example", removed: false }]);
      expect(await textOf(await post(body))).toContain("You are unsubscribed");
      expect(await rows()).toEqual([{ ...ONE, removed_at: null }]);
    },
  );

  it("and taking that back leaves no bounce that says that the address gets no mail", async () => {
    const of = { serverId: 1, messageId: sent.id, email: "a@x.example", stream: "news", tag: "" };
    const more = {
      type: "HardBounce",
      fromEmail: "",
      subject: "",
      details: "",
      bouncedAt: 1,
      inactive: true,
    };
    await writeRecords(db.archive, [], [{ ...of, ...more }]);
    const bounced = { ...of, reason: "HardBounce", origin: "Recipient", since: 1 } as const;
    await suppress(db.directory, [bounced], NOON);
    await post();
    expect(await textOf(await post("action=resubscribe"))).toContain("You are subscribed again");
    expect(await db.archive.prepare("SELECT inactive FROM bounces").first("inactive")).toBe(0);
  });

  it("is to be tried again when nobody answers, and says so", async () => {
    needs.archive = () => AWAY;
    needs.see = never;
    expect((await seconds(post())).status).toBe(503);
    needs.archive = () => SILENT;
    expect((await seconds(post("action=resubscribe"))).status).toBe(503);
  });

  it("is of one recipient and one stream", async () => {
    await post("", await leaveUrl(1));
    expect(await rows()).toMatchObject([{ email: "b@x.example", stream: "news" }]);
  });

  it("can be taken back, by the same link alone, as often as one likes", async () => {
    for (let i = 0; i < 2; i++) {
      await post();
      expect(await textOf(await ask(await leaveUrl()))).toContain("Subscribe again");
      expect(await textOf(await post("action=resubscribe"))).toContain("You are subscribed again");
      expect(await rows()).toEqual([{ ...ONE, removed_at: NOON }]);
      needs.now = () => NOON;
    }
    expect(announced).toEqual([
      { stream: "news", email: "a@x.example", removed: false },
      { stream: "news", email: "a@x.example", removed: true },
      { stream: "news", email: "a@x.example", removed: false },
      { stream: "news", email: "a@x.example", removed: true },
    ]);
  });

  it.each([
    ["SpamComplaint", "Recipient"],
    ["HardBounce", "Recipient"],
    ["ManualSuppression", "Customer"],
    ["ManualSuppression", "Admin"],
  ] as const)("does not take back a %s of the %s", async (reason, origin) => {
    const row = { serverId: 1, stream: "news", email: "a@x.example", reason, origin, since: NOON };
    await suppress(db.directory, [row], NOON);
    const page = await textOf(await ask(await leaveUrl()));
    expect(page).toContain("You are not subscribed");
    expect(page).not.toContain("<form");
    expect(await textOf(await post("action=resubscribe"))).toContain("You are not subscribed");
    expect(await rows()).toMatchObject([{ reason, origin, removed_at: null }]);
    expect(announced).toEqual([]);
  });

  it("outlives a complaint: that stays what it is", async () => {
    const row = { serverId: 1, stream: "news", email: "a@x.example", since: NOON };
    await suppress(db.directory, [{ ...row, reason: "SpamComplaint", origin: "Recipient" }], NOON);
    expect(await textOf(await post())).toContain("You are not subscribed");
    expect(await rows()).toMatchObject([{ reason: "SpamComplaint" }]);
  });

  it("of a message that is not kept any more, or of a person who was removed, says so", async () => {
    const gone = { serverId: 1, messageId: message([]).id };
    const url = HOST + (await unsubscribePath(key, gone, await fillRecipient(key, gone.messageId, 0)));
    for (const method of ["GET", "POST"]) {
      const response = await ask(url, { method });
      expect([response.status, await textOf(response)]).toEqual([410, expect.stringContaining("too old")]);
    }
    expect(await rows()).toEqual([]);
  });

  it("goes on while the databases are away: the page still asks, and what was asked for is kept", async () => {
    needs.archive = () => AWAY;
    const page = await ask(await leaveUrl());
    expect([page.status, await textOf(page)]).toEqual([200, expect.stringContaining("<form")]);
    const response = await post();
    expect(response.status).toBe(200);
    expect(await textOf(response)).toContain("You are unsubscribed");
    expect(kept).toEqual([
      { serverId: 1, fact: { kind: "unsubscribe", messageId: sent.id, index: 0, at: NOON } },
    ]);
  });

  it("never says that it is done when nothing is kept", async () => {
    needs.directory = AWAY;
    needs.see = () => Promise.reject(new Error("away"));
    const response = await post();
    expect([response.status, await textOf(response)]).toEqual([503, expect.stringContaining("try again")]);
    const back = await post("action=resubscribe");
    expect(back.status).toBe(503);
  });
});
