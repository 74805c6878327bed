/** What a receiver that no one here wrote understands of what our webhooks send: Anymail's views for Postmark, in Django. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EventType, MailEvent } from "../../src/mail/event.ts";
import { until } from "../journeys/system.ts";
import { delivery, Hooks } from "../notify/hooks-running.ts";

/** The one that Debian's packages are for: another may come first on the path. */
const PYTHON = "/usr/bin/python3";
const hasAnymail = spawnSync(PYTHON, ["-c", "import django, anymail"]).status === 0;

describe.runIf(hasAnymail)("Anymail's views for Postmark", () => {
  let hooks: Hooks;
  let django: ChildProcess;
  const understood: Record<string, unknown>[] = [];
  let port: number;

  beforeAll(async () => {
    hooks = await Hooks.open();
    django = spawn(PYTHON, [join(import.meta.dirname, "anymail-views.py")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (django.stdout)
      createInterface({ input: django.stdout }).on("line", (line) =>
        understood.push(JSON.parse(line) as Record<string, unknown>),
      );
    await until("Django is up", () => understood.length > 0);
    port = Number(understood.shift()?.port);
  }, 60_000);
  afterAll(async () => {
    django.kill();
    await hooks.close();
  });

  const tell = async (events: MailEvent[]) => {
    const first = understood.length;
    await hooks.log("append", events);
    await until("all is understood", () => understood.length === first + events.length);
    return understood.slice(first);
  };
  const reader = {
    ...{ client: { name: "Chrome 35", company: "Google", family: "Chrome" } },
    ...{ os: { name: "OS X", company: "Apple", family: "OS X 10" }, platform: "Desktop" },
    ...{ userAgent: "Mozilla/5.0", geo: {} },
  };
  const of = (type: EventType, n: number, more: object = {}) =>
    ({ ...delivery(n), id: `m${n}/${type}`, type, ...more }) as MailEvent;
  const bounce = (bounceType: string) => ({
    ...{ bounceType, details: "smtp;550 5.1.1 no such user", from: "a@b.example", subject: "Hi" },
  });
  const change = (suppressed: boolean, reason: string) => ({
    ...{ suppressed, reason, origin: "Recipient", messageId: "", tag: "", metadata: {} },
  });

  it("know each event for what it is", async () => {
    const types: EventType[] = ["Delivery", "Bounce", "SpamComplaint", "Open", "Click", "SubscriptionChange"];
    await hooks.make("7/webhook/1", types, {
      url: `http://user:pass@127.0.0.1:${port}/anymail/postmark/tracking/`,
    });
    const common = { esp: "Postmark", timestamp: expect.stringContaining("2026-02-17T12:06:40") };
    const [delivered] = await tell([delivery(1)]);
    expect(delivered).toEqual({
      ...{ ...common, type: "delivered", recipient: "r1@x.example", message: "m1", reply: "smtp;250 OK" },
      ...{ id: null, reason: null, tags: ["a tag"], metadata: { n: "1" }, agent: null, url: null },
    });
    for (const [n, [type, event, reason]] of (
      [
        ["HardBounce", "bounced", "bounced"],
        ["Transient", "deferred", null],
        ["Blocked", "rejected", "blocked"],
        ["AutoResponder", "autoresponded", null],
      ] as const
    ).entries()) {
      hooks.bounces.set(`m${10 + n}`, { id: 500 + n, inactive: true, hasDump: true });
      const [seen] = await tell([of("Bounce", 10 + n, bounce(type))]);
      expect(seen).toMatchObject({ ...common, type: event, reason, id: String(500 + n) });
      expect(seen).toMatchObject({ recipient: `r${10 + n}@x.example`, reply: "smtp;550 5.1.1 no such user" });
    }
    hooks.bounces.set("m20", { id: 20, inactive: true, hasDump: true });
    expect(await tell([of("SpamComplaint", 20, bounce(""))])).toMatchObject([
      { type: "complained", reason: "spam" },
    ]);
    expect(await tell([of("Open", 21, { isFirst: true, readSeconds: 3, reader })])).toMatchObject([
      { type: "opened", agent: "Mozilla/5.0", message: "m21" },
    ]);
    const click = { isFirst: true, location: "HTML", link: "https://a.example/?b=c&d", reader };
    expect(await tell([of("Click", 22, click)])).toMatchObject([{ type: "clicked", url: click.link }]);
    expect(await tell([of("SubscriptionChange", 23, change(true, "ManualSuppression"))])).toMatchObject([
      { type: "unsubscribed", message: null, recipient: "r23@x.example" },
    ]);
    expect(await tell([of("SubscriptionChange", 24, change(false, ""))])).toMatchObject([
      { type: "subscribed" },
    ]);
  }, 60_000);
});
