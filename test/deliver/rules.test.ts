import { describe, expect, it } from "vitest";
import { destinationOf, domainsOf, isShared, objectOf, ruleOf } from "../../src/deliver/rules.ts";

describe("rules", () => {
  it("puts domains that share their MX hosts into one destination", () => {
    for (const domain of ["hotmail.com", "live.com", "msn.com"])
      expect(destinationOf(domain)).toBe("outlook.com");
    expect(destinationOf("googlemail.com")).toBe("gmail.com");
    expect(destinationOf("example.com")).toBe("example.com");
  });
  it("knows the domains behind a destination", () => {
    expect(domainsOf("gmail.com").sort()).toEqual(["gmail.com", "googlemail.com"]);
    expect(domainsOf("pphosted.com")).toEqual(["pphosted.com"]);
    expect(domainsOf("example.com")).toEqual(["example.com"]);
    for (const domain of domainsOf("outlook.com")) expect(destinationOf(domain)).toBe("outlook.com");
  });
  it("keeps the domains behind a filter apart", () => {
    expect(["gmail.com", "messagingengine.com"].every(isShared)).toBe(true);
    for (const name of ["pphosted.com", "mimecast.com", "example.com", "constructor"])
      expect(isShared(name)).toBe(false);
  });
  it("gives providers an object of their own, and spreads others over few", () => {
    expect(objectOf("gmail.com")).toBe("gmail.com");
    const objects = new Set(Array.from({ length: 5_000 }, (_, i) => objectOf(`d${i}.test`)));
    expect(objects.size).toBe(32);
    expect(objects.has("gmail.com")).toBe(false);
    expect(objectOf("constructor")).toMatch(/^shared\/\d+$/);
  });
  it("has a rule for each destination, and one for everybody else", () => {
    expect(ruleOf("gmail.com")).toMatchObject({ connections: 20, perSecond: 100 });
    expect(ruleOf("example.com")).toMatchObject({ connections: 20, perSecond: Number.POSITIVE_INFINITY });
    expect(ruleOf("constructor").connections).toBe(20);
    expect(ruleOf("__proto__").connections).toBe(20);
  });
});
