/**
 * SPF, DKIM, DMARC and ARC in workerd, over a DNS that the tests write. The signatures are made by our own signer, and the seals by
 * mailauth in Node: what the Worker says of them was not made by the same code in the same place.
 */
import { sealMessage } from "mailauth/lib/arc/index.js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Algorithm, newKeyPair, type SigningKey } from "../../../src/compose/keys.ts";
import { sign } from "../../../src/compose/sign.ts";
import { InboundWorld, type Verified } from "./world.ts";

const SIGNED_AT = Date.UTC(2026, 1, 17, 12);
const MESSAGE = Buffer.from(
  [
    "From: Ann <ann@far.example>",
    "To: shop@inbound.mail.example",
    "Subject: Re: Your order",
    "Date: Tue, 17 Feb 2026 12:00:00 +0000",
    "Message-ID: <1@far.example>",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "Thank you,  that works.",
    "",
    "",
  ].join("\r\n"),
);

let world: InboundWorld;
const keys = {} as Record<Algorithm, SigningKey & { dnsRecord: string; pem: string }>;

beforeAll(async () => {
  world = await InboundWorld.start();
  for (const algorithm of ["rsa-sha256", "ed25519-sha256"] as const) {
    const { privateKey, dnsRecord } = await newKeyPair(algorithm);
    const selector = algorithm.slice(0, 3);
    const pem = `-----BEGIN PRIVATE KEY-----\n${privateKey.replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
    keys[algorithm] = { domain: "far.example", selector, algorithm, privateKey, dnsRecord, pem };
  }
});
beforeEach(() => {
  world.zone.clear();
  world.questions = 0;
  publish("TXT far.example", `"v=spf1 ip4:192.0.2.7 ip6:2001:db8::/32 -all"`);
  // As zone files have long ones: in strings of 255 bytes at most.
  for (const { selector, dnsRecord } of Object.values(keys))
    publish(
      `TXT ${selector}._domainkey.far.example`,
      (dnsRecord.match(/.{1,200}/g) ?? []).map((part) => `"${part}"`).join(" "),
    );
  publish("TXT _dmarc.far.example", `"v=DMARC1; p=reject; rua=mailto:d@far.example"`);
});
afterAll(() => world.stop());

function publish(name: string, ...data: string[]) {
  world.zone.set(name, data);
}

async function signed(message = MESSAGE, ...algorithms: Algorithm[]): Promise<Buffer> {
  const used = algorithms.length > 0 ? algorithms : (["rsa-sha256"] as const);
  const fields = await sign(
    message,
    used.map((a) => keys[a]),
    // The signature is good for a week from now.
    Math.max(SIGNED_AT, Date.now() - 60_000),
  );
  return Buffer.concat([Buffer.from(fields), message]);
}

/** Of each method what stands behind "=", by the order in the field. */
function results({ authenticationResults }: Verified): string[] {
  const [host, ...parts] = authenticationResults.split("; ");
  expect(host).toBe("inbound.mail.example");
  return parts.map((part) => /^\w+=\w+/.exec(part)?.[0] ?? part);
}

const FROM_ANN = { reversePath: "ann@far.example", address: "192.0.2.7", helo: "mx.far.example" };

describe("SPF", () => {
  const spf = async (of: Partial<typeof FROM_ANN> = {}) => {
    const found = await world.authenticate(MESSAGE, { ...FROM_ANN, ...of });
    expect(found.logged).toEqual([]);
    return { ...found, result: results(found).find((r) => r.startsWith("spf=")) };
  };

  it("passes from an address of the record, IPv4 and IPv6", async () => {
    const found = await spf();
    expect(found.result).toBe("spf=pass");
    expect(found.receivedSpf).toMatch(
      /^pass \(inbound\.mail\.example: domain of ann@far\.example designates 192\.0\.2\.7 as permitted sender\)/,
    );
    expect(found.receivedSpf).toContain("client-ip=192.0.2.7;");
    expect(found.authenticationResults).toContain("smtp.mailfrom=ann@far.example");
    expect((await spf({ address: "2001:db8::1" })).result).toBe("spf=pass");
  });

  it.each([
    ["-all", "fail"],
    ["~all", "softfail"],
    ["?all", "neutral"],
    ["include:", "permerror"],
  ])("of an address that is not in it, with %s: %s", async (all, result) => {
    publish("TXT far.example", `"v=spf1 ip4:198.51.100.1 ${all}"`);
    const found = await spf();
    expect(found.result).toBe(`spf=${result}`);
    expect(found.receivedSpf.split(" ")[0]).toBe(result);
  });

  it("follows include, redirect, a and mx, each by its own question", async () => {
    publish("TXT far.example", `"v=spf1 include:one.example a:host.example mx redirect=two.example"`);
    publish("TXT one.example", `"v=spf1 ip4:198.51.100.1 -all"`);
    publish("A host.example", "198.51.100.2");
    publish("MX far.example", "10 mx.far.example.");
    publish("A mx.far.example", "198.51.100.3");
    publish("TXT two.example", `"v=spf1 ip4:198.51.100.4 -all"`);
    for (const last of [1, 2, 3, 4])
      expect((await spf({ address: `198.51.100.${last}` })).result).toBe("spf=pass");
    expect((await spf({ address: "198.51.100.5" })).result).toBe("spf=fail");
  });

  it("is none where there is no record, of the null reverse-path the HELO name's, and nothing without an address", async () => {
    expect((await spf({ reversePath: "ann@none.example" })).result).toBe("spf=none");
    publish("TXT mx.far.example", `"v=spf1 ip4:192.0.2.7 -all"`);
    const bounce = await spf({ reversePath: "" });
    expect(bounce.result).toBe("spf=pass");
    expect(bounce.receivedSpf).toContain("helo=mx.far.example");
    const unknown = await spf({ address: "" });
    expect([unknown.result, unknown.receivedSpf]).toEqual([undefined, ""]);
  });

  it("is temperror while the DNS cannot be asked, and permerror for a record without an end", async () => {
    world.zone.set("TXT far.example", "SERVFAIL");
    const found = await spf();
    expect([found.result, found.receivedSpf.split(" ")[0]]).toEqual(["spf=temperror", "temperror"]);
    publish("TXT far.example", `"v=spf1 include:far.example -all"`);
    expect((await spf()).result).toBe("spf=permerror");
    expect(world.questions).toBeLessThan(60);
  });
});

describe("DKIM", () => {
  const dkim = async (raw: Uint8Array) => {
    const found = await world.authenticate(raw, { signatures: 1 });
    expect(found.logged).toEqual([]);
    return results(found).filter((r) => r.startsWith("dkim="));
  };

  it("passes for RSA, for Ed25519, and for both", async () => {
    expect(await dkim(await signed())).toEqual(["dkim=pass"]);
    expect(await dkim(await signed(MESSAGE, "ed25519-sha256"))).toEqual(["dkim=pass"]);
    expect(await dkim(await signed(MESSAGE, "rsa-sha256", "ed25519-sha256"))).toEqual([
      "dkim=pass",
      "dkim=pass",
    ]);
    const { authenticationResults } = await world.authenticate(await signed(), { signatures: 1 });
    expect(authenticationResults).toMatch(/dkim=pass .*header\.i=@far\.example header\.s=rsa/);
  });

  it("fails once the body or a signed field is another", async () => {
    const raw = (await signed(MESSAGE, "rsa-sha256", "ed25519-sha256")).toString("latin1");
    const body = Buffer.from(raw.replace("that works", "that fails"), "latin1");
    expect(await dkim(body)).toEqual(["dkim=fail", "dkim=fail"]);
    const field = Buffer.from(raw.replace("Subject: Re: Your", "Subject: Re: My"), "latin1");
    expect(await dkim(field)).toEqual(["dkim=fail", "dkim=fail"]);
    const from = Buffer.from(raw.replace("From: Ann", "From: bob@far.example\r\nFrom: Ann"), "latin1");
    expect(await dkim(from)).toEqual(["dkim=fail", "dkim=fail"]);
  });

  it("survives what servers may do: folding and spaces that relaxed forgives", async () => {
    const raw = (await signed()).toString("latin1");
    const changed = raw
      .replace("Subject: Re: Your order", "SUBJECT:  Re:\r\n\tYour   order ")
      .replace("Thank you,  that", "Thank you, \t that")
      .replace(/\r\n$/, "\r\n\r\n\r\n");
    expect(await dkim(Buffer.from(changed, "latin1"))).toEqual(["dkim=pass"]);
  });

  it("of a message whose lines end in LF alone is read as if CRLF stood there", async () => {
    const raw = (await signed()).toString("latin1").replaceAll("\r\n", "\n");
    expect(await dkim(Buffer.from(raw, "latin1"))).toEqual(["dkim=pass"]);
  });

  it("is none without a signature, and neutral where the key is not there, revoked, or of another kind", async () => {
    expect(await dkim(MESSAGE)).toEqual(["dkim=none"]);
    const raw = await signed();
    for (const record of [undefined, `"v=DKIM1; p="`, `"v=DKIM1; k=rsa; p=AAAA"`]) {
      world.zone.delete("TXT rsa._domainkey.far.example");
      if (record) publish("TXT rsa._domainkey.far.example", record);
      expect(await dkim(raw)).toEqual(["dkim=neutral"]);
    }
  });

  it("is temperror while the key cannot be asked for", async () => {
    world.zone.set("TXT rsa._domainkey.far.example", "SERVFAIL");
    expect(await dkim(await signed())).toEqual(["dkim=temperror"]);
  });

  it("of a large message with many lines is the same", async () => {
    const large = Buffer.concat([
      MESSAGE,
      Buffer.from("A line of text, quite like the next.\r\n".repeat(100_000)),
    ]);
    const raw = await signed(large);
    expect(await dkim(raw)).toEqual(["dkim=pass"]);
    raw[raw.length - 100] = 0x58;
    expect(await dkim(raw)).toEqual(["dkim=fail"]);
  });
});

describe("DMARC", () => {
  const dmarc = async (raw: Uint8Array, of: Partial<typeof FROM_ANN> & { signatures?: number } = {}) => {
    const found = await world.authenticate(raw, { signatures: 1, ...of });
    const result = results(found).find((r) => r.startsWith("dmarc="));
    return { result, text: found.authenticationResults, logged: found.logged };
  };

  it("passes by an aligned signature alone, and by aligned SPF alone", async () => {
    const bySignature = await dmarc(await signed());
    expect(bySignature.result).toBe("dmarc=pass");
    expect(bySignature.text).toMatch(/dmarc=pass \(p=REJECT\).*header\.from=far\.example/);
    expect((await dmarc(MESSAGE, FROM_ANN)).result).toBe("dmarc=pass");
  });

  it("counts a subdomain as aligned, unless the record wants it strictly", async () => {
    const of = { ...FROM_ANN, reversePath: "ann@mail.far.example" };
    publish("TXT mail.far.example", `"v=spf1 ip4:192.0.2.7 -all"`);
    expect((await dmarc(MESSAGE, of)).result).toBe("dmarc=pass");
    publish("TXT _dmarc.far.example", `"v=DMARC1; p=quarantine; aspf=s"`);
    const strict = await dmarc(MESSAGE, of);
    expect(strict.result).toBe("dmarc=fail");
    expect(strict.text).toContain("p=QUARANTINE");
  });

  it("fails when what passes is somebody else's, and when nothing does", async () => {
    publish("TXT other.example", `"v=spf1 ip4:192.0.2.7 -all"`);
    const found = await dmarc(MESSAGE, { ...FROM_ANN, reversePath: "x@other.example" });
    expect(found.text).toContain("spf=pass");
    expect(found.result).toBe("dmarc=fail");
    const forged = Buffer.from(MESSAGE.toString().replace("ann@far.example", "ceo@bank.example"));
    publish("TXT _dmarc.bank.example", `"v=DMARC1; p=none"`);
    const signedForOther = await dmarc(await signed(forged));
    expect(signedForOther.text).toContain("dkim=pass");
    expect(signedForOther.result).toBe("dmarc=fail");
  });

  it("is none without a record, temperror when it cannot be asked for, permerror with more than one author", async () => {
    world.zone.delete("TXT _dmarc.far.example");
    expect((await dmarc(MESSAGE)).result).toBe("dmarc=none");
    world.zone.set("TXT _dmarc.far.example", "SERVFAIL");
    expect((await dmarc(MESSAGE)).result).toBe("dmarc=temperror");
    const two = Buffer.from(MESSAGE.toString().replace("From: Ann", "From: ceo@bank.example\r\nFrom: Ann"));
    const found = await dmarc(two);
    expect(found.result).toBe("dmarc=permerror");
    expect(found.text).not.toContain("dmarc=pass");
  });
});

describe("ARC", () => {
  async function sealed(message: Buffer): Promise<Buffer> {
    const seal = await sealMessage(message, {
      ...{ signingDomain: "far.example", selector: "rsa", privateKey: keys["rsa-sha256"].pem },
      authResults: "list.example; spf=pass smtp.mailfrom=ann@far.example; dkim=pass header.i=@far.example",
      cv: "none",
    });
    return Buffer.concat([seal, message]);
  }
  const arc = async (raw: Uint8Array) => {
    const { authenticationResults, logged } = await world.authenticate(raw);
    expect(logged).toEqual([]);
    return /; (arc=.*?)(?:;|$)/.exec(authenticationResults)?.[1];
  };

  it("passes for a seal that holds, and says what the sealer found", async () => {
    expect(await arc(await sealed(MESSAGE))).toMatch(/^arc=pass \(i=1 spf=pass dkim=pass/);
  });

  it("fails once the body is another, or the key is not there; without a seal there is nothing to say", async () => {
    const raw = (await sealed(MESSAGE)).toString("latin1");
    expect(await arc(Buffer.from(raw.replace("that works", "that fails"), "latin1"))).toMatch(/^arc=fail/);
    expect(await arc(MESSAGE)).toBeUndefined();
    world.zone.delete("TXT rsa._domainkey.far.example");
    expect(await arc(Buffer.from(raw, "latin1"))).toMatch(/^arc=fail/);
  });
});

describe("what cannot be said", () => {
  it("is temperror when the library fails at a message, and logged; what can be said still is", async () => {
    const found = await world.authenticate("", { ...FROM_ANN, isBroken: true });
    expect(results(found)).toEqual(["dkim=temperror", "spf=pass", "dmarc=temperror"]);
    expect(found.logged).toEqual([
      {
        event: "inbound mail not authenticated",
        fields: { method: "dkim", error: expect.stringContaining("TypeError") },
      },
    ]);
  });

  it("of signatures that would take too long is policy, with the reason: nothing is asked for them", async () => {
    const flood = Array.from({ length: 5_000 }, (_, i) => `X-${i}: y\r\n`).join("");
    const cases: [Buffer, number, string][] = [
      [MESSAGE, 11, "more than 10 signatures"],
      [Buffer.concat([Buffer.from(flood), MESSAGE]), 1, "more than 2000 lines of header"],
      [
        Buffer.concat([Buffer.from(`X: ${"y".repeat(300_000)}\r\n`), MESSAGE]),
        1,
        "a header of more than 262144 bytes",
      ],
      [Buffer.concat([MESSAGE, Buffer.alloc(300_000, "z")]), 1, "a line of more than 262144 bytes"],
      [Buffer.concat([MESSAGE, Buffer.alloc(300_000, "\n")]), 1, "more than 250000 lines without CR"],
    ];
    for (const [raw, signatures, reason] of cases) {
      const found = await world.authenticate(raw, { ...FROM_ANN, signatures });
      expect(found.authenticationResults).toContain(`; dkim=policy (${reason}); spf=pass `);
      expect(found.authenticationResults).not.toContain("dmarc=");
      expect(found.logged).toHaveLength(1);
    }
  });

  it("is never asked for without an end: names that cannot be, and records that lead on and on", async () => {
    const fields = Array.from(
      { length: 10 },
      (_, i) =>
        `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=${"a".repeat(70)}${i}.example; s=s; h=from; bh=${"A".repeat(43)}=; b=AAAA\r\n`,
    );
    const wide = Array.from({ length: 10 }, (_, i) => `mx:m${i}.example`).join(" ");
    publish("TXT far.example", `"v=spf1 ${wide} -all"`);
    for (let i = 0; i < 10; i++) {
      publish(`MX m${i}.example`, ...Array.from({ length: 10 }, (_, j) => `${j} h${i}-${j}.example.`));
      for (let j = 0; j < 10; j++) publish(`A h${i}-${j}.example`, "198.51.100.9");
    }
    const raw = Buffer.concat([Buffer.from(fields.join("")), MESSAGE]);
    const found = await world.authenticate(raw, { ...FROM_ANN, signatures: 10 });
    expect(world.questions).toBeLessThanOrEqual(60);
    expect(results(found).filter((r) => r === "dkim=pass")).toEqual([]);
    expect(found.authenticationResults).toContain("spf=temperror");
  });
});
