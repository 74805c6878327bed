import { describe, expect, it } from "vitest";
import { Hosted } from "../../src/deliver/hosted.ts";
import { PROVIDERS, providerOfHost } from "../../src/deliver/providers.ts";

const T = 1_000_000;
const DAY = 86_400_000;

describe("the provider of an MX host", () => {
  it.each([
    ["aspmx.l.google.com", "gmail.com"],
    ["SMTP.Google.com.", "gmail.com"],
    ["outlook-com.olc.protection.outlook.com", "outlook.com"],
    ["example-com.mail.protection.outlook.com", "mail.protection.outlook.com"],
    ["mta5.am0.yahoodns.net", "yahoo.com"],
    ["mx01.mail.icloud.com", "icloud.com"],
    ["mx00.gmx.net", "gmx.net"],
    ["mx-ha02.web.de", "gmx.net"],
    ["mxa-00123456.gslb.pphosted.com", "pphosted.com"],
    ["eu-smtp-inbound-1.mimecast.com", "mimecast.com"],
    ["cluster5.us.messagelabs.com", "messagelabs.com"],
    ["mx1.hc1234-56.iphmx.com", "iphmx.com"],
    ["mxbiz1.qq.com", "qq.com"],
  ])("knows %s", (host, provider) => {
    expect(providerOfHost(host)).toBe(provider);
  });

  it.each(["", ".", "mx.example.com", "google.com.example.net", "notgoogle.com", "com", "a.".repeat(5_000)])(
    "takes %s for nobody's",
    (host) => {
      expect(providerOfHost(host)).toBeUndefined();
    },
  );

  it("is in one entry only, and so is each domain", () => {
    for (const list of ["mx", "domains"] as const) {
      const all = Object.values(PROVIDERS).flatMap((provider) => provider[list]);
      expect(new Set(all).size).toBe(all.length);
    }
  });
});

describe("hosted domains", () => {
  it("are known for a day, and a newer answer replaces an older", () => {
    const hosted = new Hosted();
    expect(hosted.providerOf("acme.test", T)).toBeUndefined();
    hosted.learn("acme.test", "gmail.com", T);
    expect(hosted.providerOf("acme.test", T + DAY - 1)).toBe("gmail.com");
    hosted.learn("acme.test", "yahoo.com", T + 1);
    expect(hosted.providerOf("acme.test", T + 2)).toBe("yahoo.com");
    expect(hosted.providerOf("acme.test", T + 1 + DAY)).toBeUndefined();
  });

  it("are forgotten when the clock was wrong", () => {
    const hosted = new Hosted();
    hosted.learn("acme.test", "gmail.com", T + DAY);
    expect(hosted.providerOf("acme.test", T)).toBeUndefined();
  });

  it("are ten thousand at most, the oldest forgotten first", () => {
    const hosted = new Hosted();
    for (let i = 0; i < 10_001; i++) hosted.learn(`d${i}.test`, "gmail.com", T);
    expect(hosted.providerOf("d0.test", T)).toBeUndefined();
    expect(hosted.providerOf("d1.test", T)).toBe("gmail.com");
    expect(hosted.providerOf("d10000.test", T)).toBe("gmail.com");
  });
});
