/** The unsubscribe page in a real browser: as a person, as a scanner, without script, on a phone. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ServerType, serve } from "@hono/node-server";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { trackingDoor } from "../../src/api/tracking.ts";
import { writeRecords } from "../../src/archive/write.ts";
import { freePort } from "../../src/local/ports.ts";
import { fillRecipient, trackingKey, unsubscribePath } from "../../src/mail/tracking-link.ts";
import { type Databases, delivered, message, NOON, openDatabases } from "../archive/databases.ts";

const CHROMIUM = "/usr/bin/chromium";
/** Set to look at what the browser shows. */
const PICTURES = process.env.EDGEPOST_TEST_PICTURES;

let db: Databases;
let server: ServerType;
let browser: Browser;
let origin: string;
let url: string;
/** Whatever the page asked anybody for. */
let requests: string[];

const sent = message([delivered("a.very.long.name.of.a.reader@mail.department.example")], {
  stream: "news",
  summary: { from: { email: "shop@example.com", name: "The Shop & Söhne" } },
});

describe.skipIf(!existsSync(CHROMIUM))("the unsubscribe page", () => {
  beforeAll(async () => {
    db = await openDatabases();
    const key = await trackingKey("a secret");
    let now = NOON;
    const door = trackingDoor({
      directory: db.directory,
      archive: () => db.archive,
      now: () => ++now,
      log: () => undefined,
      key: async () => key,
      heldRecords: async () => [],
      announce: async () => undefined,
      see: async () => undefined,
      recordNow: async () => undefined,
      waitUntil: () => undefined,
    });
    const port = await freePort();
    server = serve({ fetch: door, port, hostname: "127.0.0.1" });
    origin = `http://127.0.0.1:${port}`;
    const field = await fillRecipient(key, sent.id, 0);
    url = origin + (await unsubscribePath(key, { serverId: 1, messageId: sent.id }, field));
    const { chromium } = await import("playwright-core");
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      // Without the first it says of itself that it is no person's.
      args: ["--disable-blink-features=AutomationControlled", "--no-sandbox", "--disable-gpu"],
    });
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    await db?.dispose();
  });
  beforeEach(async () => {
    await db.clear();
    await writeRecords(db.archive, [sent], []);
    requests = [];
  });

  async function visit(options: BrowserContextOptions = {}, isScanner = false): Promise<Page> {
    const context = await browser.newContext(options);
    if (isScanner)
      await context.addInitScript({
        content: 'Object.defineProperty(navigator, "webdriver", { get: () => true })',
      });
    const page = await context.newPage();
    page.on("request", (request) => requests.push(`${request.method()} ${request.url()}`));
    await page.goto(url);
    return page;
  }
  const isUnsubscribed = async () =>
    (await db.directory.prepare("SELECT 1 FROM suppressions WHERE removed_at IS NULL").first()) !== null;
  const heading = (page: Page, text: string) => page.getByRole("heading", { name: text }).waitFor();
  async function picture(page: Page, name: string): Promise<void> {
    if (PICTURES === undefined) return;
    mkdirSync(PICTURES, { recursive: true });
    await page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }

  it("unsubscribes a person who is seen to be there, without a second click, and lets them take it back", async () => {
    const page = await visit();
    await heading(page, "Unsubscribe?");
    await picture(page, "asks");
    await page.waitForTimeout(1_500);
    expect(await isUnsubscribed()).toBe(false);
    await page.mouse.move(200, 200);
    await page.mouse.move(210, 220);
    await heading(page, "You are unsubscribed");
    expect(await isUnsubscribed()).toBe(true);
    await picture(page, "unsubscribed");
    await page.waitForTimeout(1_200);
    await page.getByRole("button", { name: "Subscribe again" }).click();
    await heading(page, "You are subscribed again");
    expect(await isUnsubscribed()).toBe(false);
    await picture(page, "subscribed");
    await page.context().close();
  });

  it("does not take a press on the page before for one that takes it back", async () => {
    await fetch(url, { method: "POST" });
    const context = await browser.newContext();
    await context.addInitScript({ content: "performance.now = () => window.age ?? 500" });
    const page = await context.newPage();
    await page.goto(url);
    const button = page.getByRole("button", { name: "Subscribe again" });
    await button.click();
    await page.evaluate("window.age = 1500");
    expect(await isUnsubscribed()).toBe(true);
    await button.click();
    await heading(page, "You are subscribed again");
    await context.close();
  });

  it("changes nothing for a scanner that runs scripts, waits, and moves a mouse", async () => {
    const page = await visit({}, true);
    await page.waitForTimeout(1_500);
    await page.mouse.move(200, 200);
    await page.mouse.move(250, 250);
    await page.waitForTimeout(1_000);
    await heading(page, "Unsubscribe?");
    expect(await isUnsubscribed()).toBe(false);
    await page.context().close();
  });

  it("changes nothing by events that a script makes", async () => {
    const page = await visit();
    await page.waitForTimeout(1_200);
    await page.evaluate(
      'for (const type of ["pointermove", "keydown", "wheel"]) window.dispatchEvent(new Event(type))',
    );
    await page.waitForTimeout(500);
    expect(await isUnsubscribed()).toBe(false);
    await page.context().close();
  });

  it("works without script, by keyboard alone, and asks nobody else for anything", async () => {
    const page = await visit({ javaScriptEnabled: false });
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await heading(page, "You are unsubscribed");
    expect(await isUnsubscribed()).toBe(true);
    expect(requests.filter((line) => !line.endsWith("/favicon.ico"))).toEqual([`GET ${url}`, `POST ${url}`]);
    await page.context().close();
  });

  it.each([
    ["light", 320],
    ["dark", 390],
  ] as const)("fits on a phone, in %s colours", async (colorScheme, width) => {
    const viewport = { width, height: 640 };
    const page = await visit({ viewport, colorScheme, hasTouch: true, isMobile: true });
    const wide = await page.evaluate("document.documentElement.scrollWidth");
    expect(wide).toBeLessThanOrEqual(width);
    const button = await page.getByRole("button", { name: "Unsubscribe" }).boundingBox();
    expect(button?.height).toBeGreaterThanOrEqual(44);
    expect((button?.y ?? 0) + (button?.height ?? 0)).toBeLessThan(640);
    await picture(page, `phone-${colorScheme}`);
    await page.touchscreen.tap(width / 2, (button?.y ?? 0) + 10);
    await heading(page, "You are unsubscribed");
    await picture(page, `phone-${colorScheme}-done`);
    await page.context().close();
  });
});
