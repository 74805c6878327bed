/** What comes in is in R2, whole, before anybody is told; real R2 and D1. */
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAccount, createServer } from "../../src/accounts/create.ts";
import { monitorOfAccount, reportsAddress } from "../../src/accounts/report-monitors.ts";
import { decodeFrames } from "../../src/mail/frame.ts";
import { formatComplaintAddress, formatReturnPath, returnPathKey } from "../../src/mail/return-path.ts";
import { fillRecipient, trackingKey, unsubscribeAddress } from "../../src/mail/tracking-link.ts";
import { type EmailRoutingNeeds, receiveRouted } from "../../src/receive/email-routing.ts";
import { ownDomains } from "../../src/receive/own-address.ts";
import { type Databases, openDatabases } from "../archive/databases.ts";

let db: Databases;
let miniflare: Miniflare;
let bucket: R2Bucket;
let hash: string;
let account: number;
let needs: EmailRoutingNeeds;
let handedOn: string[] = [];

beforeAll(async () => {
  db = await openDatabases();
  miniflare = new Miniflare({ modules: true, script: "export default {}", r2Buckets: ["MAIL"] });
  bucket = (await miniflare.getR2Bucket("MAIL")) as unknown as R2Bucket;
  account = await createAccount(db.directory, "a", 1);
  ({ inboundHash: hash } = await createServer(db.directory, { accountId: account, name: "s" }, 1));
  needs = {
    directory: db.directory,
    returnPathKey: () => returnPathKey("secret"),
    trackingKey: () => trackingKey("secret"),
    mailDomain: "mail.example",
    now: () => 7,
    newId: () => "an-id",
    async putObject(key, bytes) {
      await bucket.put(key, bytes);
    },
    handOn: (key) => void handedOn.push(key),
  };
});
afterAll(async () => {
  await db.dispose();
  await miniflare.dispose();
});

const OF = { serverId: 1, messageId: "01939393-9393-8393-8393-939393939393" };

async function arrive(to: string, from = "ann@far.example", raw = "Subject: s\r\n\r\nh\xe9llo\r\n") {
  const rejected: string[] = [];
  handedOn = [];
  await receiveRouted(
    {
      from,
      to,
      raw: new Response(Buffer.from(raw, "latin1")).body as ReadableStream<Uint8Array>,
      setReject: (reason: string) => rejected.push(reason),
    },
    needs,
  );
  return rejected;
}

async function stored() {
  const object = await bucket.get("received/an-id");
  for await (const frame of decodeFrames([new Uint8Array((await object?.arrayBuffer()) ?? [])] as never, 1e6))
    return { header: frame.header, body: Buffer.from(frame.body).toString("latin1") };
  return undefined;
}

describe("mail by Email Routing", () => {
  it("for a server's inbound address is stored with its envelope, byte for byte", async () => {
    expect(await arrive(`${hash.toUpperCase()}+ticket@inbound.mail.example`)).toEqual([]);
    expect(await stored()).toEqual({
      header: {
        v: 1,
        envelope: {
          reversePath: "ann@far.example",
          recipients: [{ address: `${hash.toUpperCase()}+ticket@inbound.mail.example` }],
        },
        via: "email-routing",
        remoteAddress: "",
        session: "",
        receivedAt: 7,
      },
      body: "Subject: s\r\n\r\nh\xe9llo\r\n",
    });
    expect(handedOn).toEqual(["received/an-id"]);
  });

  it("for a return path that we signed is stored, from the null reverse-path in either spelling", async () => {
    const path = await formatReturnPath(await returnPathKey("secret"), OF, "bounces.mail.example");
    expect(await arrive(path, "<>")).toEqual([]);
    expect((await stored())?.header).toMatchObject({ envelope: { reversePath: "" } });
    expect(await arrive(path, "")).toEqual([]);
  });

  it("for a complaint address, an unsubscribe address and an address for reports of ours is stored", async () => {
    const domain = "bounces.mail.example";
    const links = await trackingKey("secret");
    const monitor = await monitorOfAccount(db.directory, account, "shop.example", 1);
    const addresses = [
      await formatComplaintAddress(await returnPathKey("secret"), OF, domain),
      "Complaints@Bounces.Mail.Example",
      await unsubscribeAddress(links, OF, await fillRecipient(links, OF.messageId, 0), domain),
      reportsAddress(monitor, "mail.example"),
    ];
    for (const address of addresses) {
      expect(await arrive(address)).toEqual([]);
      const changed = address.replace(/.(?=@)/, (c) => (c === "a" ? "b" : "a"));
      expect(await arrive(changed)).toEqual(["550 5.1.1 no such address here"]);
      expect(handedOn).toEqual([]);
    }
  });

  it("for anybody else is refused", async () => {
    for (const to of ["nobody@inbound.mail.example", "b-00@bounces.mail.example", "x@elsewhere.example"])
      expect(await arrive(to)).toEqual(["550 5.1.1 no such address here"]);
  });

  it("for a server's own inbound domain is stored, until the server is deleted", async () => {
    const accountId = await createAccount(db.directory, "b", 1);
    const settings = { accountId, name: "s", inboundDomain: "in.customer.example" };
    const { id, inboundHash } = await createServer(db.directory, settings, 1);
    const addresses = ["Anybody@In.Customer.example", `${inboundHash}@inbound.mail.example`];
    for (const to of addresses) expect(await arrive(to)).toEqual([]);
    expect((await ownDomains(needs)).inbound).toEqual([
      "inbound.mail.example",
      "dmarc.mail.example",
      "in.customer.example",
    ]);
    await db.directory.prepare("UPDATE servers SET deleted_at = 2 WHERE id = ?").bind(id).run();
    for (const to of addresses) expect(await arrive(to)).toEqual(["550 5.1.1 no such address here"]);
    expect((await ownDomains(needs)).inbound).toEqual(["inbound.mail.example", "dmarc.mail.example"]);
    expect(await arrive("a@sub.in.customer.example")).toEqual(["550 5.1.1 no such address here"]);
  });

  it("is not taken while R2 does not have it", async () => {
    const failing = { ...needs, putObject: () => Promise.reject(new Error("R2 is away")) };
    const raw = new Response("x").body as ReadableStream<Uint8Array>;
    const message = { from: "a@b.example", to: `${hash}@inbound.mail.example`, raw, setReject: () => {} };
    await expect(receiveRouted(message, failing)).rejects.toThrow("R2 is away");
  });
});
