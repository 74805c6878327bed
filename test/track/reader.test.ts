/** What programs write of themselves, as it is seen in the wild, and what becomes of it. */
import { build } from "esbuild";
import fc from "fast-check";
import { Miniflare } from "miniflare";
import { describe, expect, it } from "vitest";
import { MAIL_PROGRAMS } from "../../src/track/mail-programs.ts";
import { readerOf } from "../../src/track/reader.ts";

const CHROME_MAC =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36";
const WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)";

/** User agent, client's name, its family, system, platform. */
const OPENS: [string, string, string, string, string][] = [
  [
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Gmail",
    "Gmail",
    "unknown",
    "WebMail",
  ],
  [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
    "Gmail",
    "Gmail",
    "unknown",
    "WebMail",
  ],
  ["Mozilla/5.0", "Apple Mail", "Apple Mail", "unknown", "Unknown"],
  [
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Yahoo! Mail",
    "Yahoo! Mail",
    "unknown",
    "WebMail",
  ],
  [
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT}`,
    "Apple Mail",
    "Apple Mail",
    "OS X 10.15.7 Catalina",
    "Desktop",
  ],
  [
    `Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) ${WEBKIT} Mobile/15E148`,
    "Apple Mail",
    "Apple Mail",
    "iOS 17.5",
    "Mobile",
  ],
  [
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17628; Pro)",
    "Outlook 16.0.17628",
    "Outlook",
    "Windows 10",
    "Desktop",
  ],
  [
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; WOW64; Trident/7.0; ms-office; MSOffice 14)",
    "Outlook",
    "Outlook",
    "Windows 7",
    "Desktop",
  ],
  ["Outlook-iOS/2.0", "Outlook Mobile 2.0", "Outlook Mobile", "unknown", "Mobile"],
  [
    "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Thunderbird/102.3.0",
    "Thunderbird 102.3.0",
    "Thunderbird",
    "Linux",
    "Desktop",
  ],
  [CHROME_MAC, "Chrome 35.0.1916.153", "Chrome", "OS X 10.7.5 Lion", "WebMail"],
  [
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Chrome 126.0.0.0",
    "Chrome",
    "Android 14",
    "Mobile",
  ],
  ["curl/8.5.0", "unknown", "unknown", "unknown", "Unknown"],
  ["", "unknown", "unknown", "unknown", "Unknown"],
];

describe("readers", () => {
  it.each(OPENS)("%s", (userAgent, name, family, os, platform) => {
    const reader = readerOf("opened", { userAgent });
    expect([reader.client.name, reader.client.family, reader.os.name, reader.platform]).toEqual([
      ...[name, family, os, platform],
    ]);
    expect(reader.userAgent).toBe(userAgent);
    for (const { company } of [reader.client, reader.os]) expect(company).not.toBe("");
  });

  it.each([
    ["Mozilla/5.0 (Windows NT 6.1; Win64; x64) SkypeUriPreview Preview/0.5", "Microsoft scanner"],
    ["Mozilla/5.0 (compatible; BarracudaCentral/1.0)", "Barracuda scanner"],
    ["Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Link preview"],
    ["WhatsApp/2.23.20.0", "Link preview"],
    [
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
      "Headless browser",
    ],
    ["Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Crawler"],
  ])("that say that they are none are told as that: %s", (userAgent, family) => {
    for (const did of ["opened", "clicked"] as const)
      expect(readerOf(did, { userAgent, ip: "192.0.2.1" })).toMatchObject({
        client: { name: family, family },
        os: { family: "unknown" },
        platform: "Unknown",
        geo: {},
      });
  });

  it("are told apart by what they did: a browser that shows a mail is web mail, one with a link a desktop", () => {
    expect(readerOf("clicked", { userAgent: CHROME_MAC })).toMatchObject({
      client: { name: "Chrome 35.0.1916.153", company: "Google Inc.", family: "Chrome" },
      os: { name: "OS X 10.7.5 Lion", company: "Apple Inc.", family: "OS X 10" },
      platform: "Desktop",
    });
  });

  const place = {
    country: "US",
    region: "Texas",
    regionCode: "TX",
    ...{ city: "Austin", postalCode: "78701", latitude: "30.27", longitude: "-97.74" },
  };

  it("are where the request came from, as far as that is known", () => {
    expect(readerOf("clicked", { userAgent: CHROME_MAC, place, ip: "192.0.2.1" }).geo).toEqual({
      countryIsoCode: "US",
      country: "United States",
      regionIsoCode: "TX",
      region: "Texas",
      city: "Austin",
      zip: "78701",
      coords: "30.27,-97.74",
      ip: "192.0.2.1",
    });
    expect(readerOf("clicked", { userAgent: CHROME_MAC, place: { country: "T1" } }).geo).toEqual({
      countryIsoCode: "T1",
    });
  });

  it("are nowhere when a proxy asks for them: neither its place nor its system is theirs", () => {
    for (const userAgent of ["Mozilla/5.0", "x GoogleImageProxy", "YahooMailProxy"]) {
      const reader = readerOf("opened", { userAgent, place, ip: "192.0.2.1" });
      expect([reader.geo, reader.os.name]).toEqual([{}, "unknown"]);
    }
  });

  it("are of a bounded number of families, whatever is written, and nothing that is written fails", () => {
    const families = new Set<string>();
    const word = fc.constantFrom(
      "Chrome/",
      "Safari/",
      "(",
      ")",
      "/",
      " ",
      "Version/1",
      "constructor/1",
      "__proto__/1",
    );
    const text = fc.oneof(
      fc.string({ maxLength: 600 }),
      fc.array(word, { maxLength: 200 }).map((w) => w.join("")),
    );
    fc.assert(
      fc.property(text, (userAgent) => {
        const { client, userAgent: kept } = readerOf("opened", { userAgent });
        families.add(client.family);
        expect(kept.length).toBeLessThanOrEqual(500);
      }),
      { numRuns: 500 },
    );
    expect(families.size).toBeLessThan(30);
    expect(MAIL_PROGRAMS.filter((p) => /[/"\\]/.test(p.family))).toEqual([]);
  });

  it("are the same in workerd", async () => {
    const { outputFiles } = await build({
      entryPoints: [new URL("reader-worker.ts", import.meta.url).pathname],
      ...{ bundle: true, write: false, format: "esm", conditions: ["workerd", "worker"] },
    });
    const contents = outputFiles[0]?.text ?? "";
    const workerd = new Miniflare({
      modules: [{ type: "ESModule", path: "worker.js", contents }],
      compatibilityDate: "2026-07-01",
    });
    try {
      const agents = OPENS.map(([userAgent]) => userAgent);
      const response = await workerd.dispatchFetch("http://worker/", {
        method: "POST",
        body: JSON.stringify(agents),
      });
      const here = agents.map((userAgent) =>
        readerOf("opened", { userAgent, place: { country: "US", region: "Texas" } }),
      );
      expect(await response.json()).toEqual(here);
    } finally {
      await workerd.dispose();
    }
  });
});
