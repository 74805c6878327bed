/** A customer makes its domain and its sender ready to send, with the records in the DNS and the message in the mailbox. */
import { Resolver } from "node:dns/promises";
import { authenticate } from "mailauth";
import PostalMime from "postal-mime";
import { AccountClient, type Models, ServerClient } from "postmark";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type InboxMessage, System, until } from "./system.ts";

type Domain = Models.DomainDetails & {
  DKIMKeys: { Host: string; TextValue: string; State: string }[];
  CustomTrackingDomain: string;
};

let system: System;
let account: AccountClient;
let server: ServerClient;

beforeAll(async () => {
  system = await System.start();
  const { accountToken, serverToken, http } = system.local;
  const options = { requestHost: http.replace("http://", ""), useHttps: false };
  account = new AccountClient(accountToken, options);
  server = new ServerClient(serverToken, options);
}, 100_000);
afterAll(() => system.remove());

async function publish(name: string, type: string, value: string): Promise<void> {
  const url = `${system.local.world.http}/dns/${name}/${type}`;
  expect((await fetch(url, { method: "PUT", body: value })).status).toBe(204);
}

/** As a receiver sees it, which asks the DNS. */
async function verdictOf(message: InboxMessage) {
  const dns = new Resolver();
  dns.setServers([`127.0.0.1:${system.local.world.dnsPort}`]);
  const raw = await fetch(`${system.local.world.http}/inbox/${message.id}/raw`);
  const verdict = await authenticate(Buffer.from(await raw.arrayBuffer()), {
    ip: "127.0.0.1",
    helo: message.helo,
    sender: message.envelope.from,
    resolver: (name: string, type: string) => dns.resolve(name, type) as Promise<string[][]>,
  });
  return {
    dkim: verdict.dkim.results.map((r) => [r.selector, r.signingDomain, r.status.result]),
    spf: resultOf(verdict.spf),
    dmarc: resultOf(verdict.dmarc),
  };
}

function resultOf(part: false | undefined | { status: { result: string } }): string | undefined {
  return part ? part.status.result : undefined;
}

async function send(from: string, to: string): Promise<InboxMessage> {
  await server.sendEmail({ From: from, To: to, Subject: "Hello", TextBody: "It works." });
  return system.arrives(to);
}

const selectors = (domain: Domain, state: string) =>
  domain.DKIMKeys.filter((key) => key.State === state).map((key) => key.Host.split("._domainkey.")[0]);

describe("a domain", () => {
  let domain: Domain;

  it("cannot be sent from before its keys are in the DNS", async () => {
    domain = (await account.createDomain({
      Name: "shop.example",
      ReturnPathDomain: "pm-bounces.shop.example",
    })) as Domain;
    expect(((await account.verifyDomainDKIM(domain.ID)) as Domain).DKIMVerified).toBe(false);
    await expect(send("hello@shop.example", "a@reader.example")).rejects.toMatchObject({ code: 400 });
  });

  it("is sent from at once when they are, signed by both, and aligned in SPF too", async () => {
    for (const { Host, TextValue } of domain.DKIMKeys) await publish(Host, "TXT", TextValue);
    await publish("pm-bounces.shop.example", "CNAME", domain.ReturnPathDomainCNAMEValue);
    await publish("_dmarc.shop.example", "TXT", "v=DMARC1; p=reject; adkim=s");
    domain = (await account.verifyDomainDKIM(domain.ID)) as Domain;
    expect(domain.DKIMVerified).toBe(true);
    await account.verifyDomainReturnPath(domain.ID);
    const message = await send("hello@shop.example", "b@reader.example");
    expect(message.envelope.from).toMatch(
      /^b-[0-9a-f]{32}-[0-9a-z]{1,11}-[0-9a-f]{16}@pm-bounces\.shop\.example$/,
    );
    const signed = selectors(domain, "Active").map((selector) => [selector, "shop.example", "pass"]);
    expect(signed).toHaveLength(2);
    expect(await verdictOf(message)).toEqual({ dkim: signed, spf: "pass", dmarc: "pass" });
  });

  it("changes its keys: the old sign until the new are in the DNS", async () => {
    const before = domain;
    domain = (await rotate(domain.ID)) as Domain;
    const message = await send("hello@shop.example", "c@reader.example");
    const byOld = selectors(before, "Active").map((selector) => [selector, "shop.example", "pass"]);
    expect((await verdictOf(message)).dkim).toEqual(byOld);

    for (const { Host, TextValue, State } of domain.DKIMKeys)
      if (State === "Pending") await publish(Host, "TXT", TextValue);
    domain = (await account.verifyDomainDKIM(domain.ID)) as Domain;
    expect(selectors(domain, "Revoked")).toEqual(selectors(before, "Active"));
    const byNew = selectors(domain, "Active").map((selector) => [selector, "shop.example", "pass"]);
    expect(byNew).not.toEqual(byOld);
    expect(await verdictOf(await send("hello@shop.example", "d@reader.example"))).toEqual({
      dkim: byNew,
      spf: "pass",
      dmarc: "pass",
    });
    // What was sent before is still right for who reads it late.
    expect((await verdictOf(message)).dkim).toEqual(byOld);
  });

  it("cannot be sent from the moment that it is deleted", async () => {
    await account.deleteDomain(domain.ID);
    await expect(send("hello@shop.example", "e@reader.example")).rejects.toMatchObject({ code: 400 });
  });

  function rotate(id: number): Promise<unknown> {
    return fetch(`${system.local.http}/domains/${id}/rotatedkim`, {
      method: "POST",
      headers: { "X-Postmark-Account-Token": system.local.accountToken },
    }).then((response) => response.json());
  }
});

describe("a sender signature", () => {
  it("is sent from once the button behind the link in its mailbox is pressed", async () => {
    const made = await account.createSenderSignature({
      Name: "Jane",
      FromEmail: "jane@small.example",
      ReplyToEmail: "desk@small.example",
      ConfirmationPersonalNote: "For the newsletter",
    } as Models.CreateSignatureRequest);
    expect(made.Confirmed).toBe(false);
    await expect(send("jane@small.example", "f@reader.example")).rejects.toMatchObject({ code: 401 });

    const asked = await system.arrives("jane@small.example");
    expect(await verdictOf(asked)).toMatchObject({
      dkim: [
        [expect.any(String), "example.com", "pass"],
        [expect.any(String), "example.com", "pass"],
      ],
      spf: "pass",
      dmarc: "pass",
    });
    const mail = await PostalMime.parse(asked.raw);
    expect(mail.from).toMatchObject({ name: "Edgepost", address: "no-reply@example.com" });
    expect(mail.text).toContain("For the newsletter");
    const link = /http:\S+\/confirm\?token=\S+/.exec(mail.text ?? "")?.[0] ?? "";
    expect(mail.html).toContain(link);

    // As a mail scanner does.
    const page = await fetch(link);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("<button>")]);
    expect((await account.getSenderSignature(made.ID)).Confirmed).toBe(false);
    expect(await (await fetch(link, { method: "POST" })).text()).toContain("is confirmed");
    expect((await account.getSenderSignature(made.ID)).Confirmed).toBe(true);

    const message = await send("jane@small.example", "g@reader.example");
    expect((await PostalMime.parse(message.raw)).replyTo?.[0]?.address).toBe("desk@small.example");
    expect(message.envelope.from).toMatch(/@bounces\.example\.com$/);
  });

  it("is asked for by a message that neither the demo server nor its account can see", async () => {
    const { Messages } = await server.getOutboundMessages({ recipient: "jane@small.example" });
    expect(Messages).toEqual([]);
    const { TotalCount } = await account.getServers();
    expect(TotalCount).toBe(1);
  });

  it("is asked by a message whose keys anybody can look up", async () => {
    const { records } = (await (await fetch(`${system.local.http}/health/dns`)).json()) as {
      records: { name: string; value: string }[];
    };
    const { dkim } = await verdictOf(await system.arrives("jane@small.example"));
    expect(records.map(({ name }) => name)).toEqual(dkim.map(([s]) => `${s}._domainkey.example.com`));
  });

  it("may be resent, and only the last link works", async () => {
    const made = await account.createSenderSignature({
      Name: "Jim",
      FromEmail: "jim@small.example",
    } as Models.CreateSignatureRequest);
    await account.resendSenderSignatureConfirmation(made.ID);
    const links = async () => {
      const messages = await system.inbox({ to: "jim@small.example" });
      const texts = await Promise.all(messages.map(async (m) => (await PostalMime.parse(m.raw)).text ?? ""));
      return texts.map((text) => /http:\S+\/confirm\?token=\S+/.exec(text)?.[0] ?? "");
    };
    await until("both are there", async () => (await links()).length === 2);
    const states = await Promise.all((await links()).map(async (link) => (await fetch(link)).status));
    expect(states.sort()).toEqual([200, 404]);
  });
});
