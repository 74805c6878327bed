/** Mail with links that lead through us, from the API and from a mail program to the mailbox: each recipient's are their own, and its signature holds. */
import { load } from "cheerio";
import { createTransport } from "nodemailer";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { has, openDkim, rawOf, signatures } from "./smtp-witness.ts";
import { type InboxMessage, System, until } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

const LINK = "https://example.org/shop?id=17&lang=de";
const HTML = `<html><body><p>Grüße aus <a href="${LINK.replace("&", "&amp;")}">Berlin</a></p></body></html>`;
const TEXT = `Grüße aus Berlin: ${LINK}\n`;
const ALL = { TrackOpens: true, TrackLinks: "HtmlAndText" };

async function send(to: string[], more: Record<string, unknown> = {}): Promise<string> {
  const message = { From: "sender@example.com", Subject: "Hello", HtmlBody: HTML, TextBody: TEXT, ...more };
  const { status, json } = await system.api("POST", "/email", { ...message, To: to.join(", ") });
  expect(status, JSON.stringify(json)).toBe(200);
  return json.MessageID as string;
}

async function submit(
  to: string[],
  headers: Record<string, string>,
  more: Record<string, unknown> = {},
): Promise<string> {
  const { smtp, serverToken, from } = system.local;
  const transport = createTransport({
    ...{ host: "127.0.0.1", port: smtp.port, requireTLS: true, tls: { rejectUnauthorized: false } },
    auth: { user: serverToken, pass: serverToken },
  });
  const { response } = await transport.sendMail({
    ...{ from, to, subject: "Hello", html: HTML, text: TEXT, headers },
    attachments: [{ filename: "page.html", content: HTML }],
    ...more,
  });
  transport.close();
  return /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(response)?.[0] ?? response;
}

/** What a mail program shows of it, and what others think of its signatures. */
async function read(message: InboxMessage) {
  const raw = await rawOf(system, message);
  const { html = "", text = "", headers, attachments } = await PostalMime.parse(raw);
  const page = load(html);
  const all = (selector: string, name: string) =>
    page(selector)
      .toArray()
      .map((element) => page(element).attr(name) ?? "");
  const field = (name: string) => headers.find((h) => h.key === name)?.value ?? "";
  return {
    ...{ raw, text, hrefs: all("a", "href"), pictures: all("img", "src"), attachments },
    inText: text.match(/https?:\/\/\S+/g) ?? [],
    listUnsubscribe: field("list-unsubscribe"),
    post: field("list-unsubscribe-post"),
    dkim: await signatures(system, raw),
  };
}

const ours = (door: string) =>
  new RegExp(`^${system.local.http.replaceAll(".", "\\.")}/${door}/[a-z2-7]{62}([./]|$)`);
const names = (prefix: string) =>
  ["one@a.example", "two@a.example", "three@b.example"].map((a) => `${prefix}-${a}`);

describe("a tracked message", () => {
  const ways: Record<string, (to: string[]) => Promise<string>> = {
    "the API": (to) => send(to, ALL),
    SMTP: (to) => submit(to, { "X-PM-TrackOpens": "true", "X-PM-TrackLinks": "HtmlAndText" }),
  };
  for (const [way, submitTo] of Object.entries(ways)) {
    const prefix = way === "SMTP" ? "smtp" : "api";

    it(`by ${way} to one arrives with links of ours, signed and whole`, async () => {
      const id = await submitTo([`${prefix}@one.example`]);
      const { hrefs, pictures, inText, dkim, attachments, raw } = await read(
        await system.arrives(`${prefix}@one.example`),
      );
      expect([hrefs.length, pictures.length, inText.length]).toEqual([1, 1, 1]);
      expect(hrefs[0]).toMatch(ours("c"));
      expect(inText[0]).toMatch(ours("c"));
      expect(pictures[0]).toMatch(ours("o"));
      expect(dkim).toEqual(["pass", "pass"]);
      if (has("opendkim")) expect(await openDkim(system, raw)).toMatch(/succeeded/);
      if (way === "SMTP") {
        const file = attachments[0]?.content as ArrayBuffer;
        expect(Buffer.from(file).toString()).toBe(HTML);
      }
      const { json } = await system.api("GET", `/messages/outbound/${id}/details`);
      expect(json.HtmlBody).toContain(hrefs[0]);
    });

    it(`by ${way} to three arrives at each with links of their own, and each copy's signature holds`, async () => {
      const to = names(prefix);
      const id = await submitTo(to);
      const copies = await Promise.all(to.map(async (address) => read(await system.arrives(address))));
      for (const { hrefs, pictures, inText, dkim, raw } of copies) {
        expect(hrefs[0]).toMatch(ours("c"));
        expect(inText[0]).toMatch(ours("c"));
        expect(pictures[0]).toMatch(ours("o"));
        expect(dkim).toEqual(["pass", "pass"]);
        if (has("opendkim")) expect(await openDkim(system, raw)).toMatch(/succeeded/);
      }
      const links = copies.flatMap(({ hrefs, pictures, inText }) => [...hrefs, ...pictures, ...inText]);
      expect(new Set(links).size).toBe(9);
      await until("all is archived", async () => (await system.ledger()).waiting === 0);
      for (const what of ["dump", "details"]) {
        const { json } = await system.api("GET", `/messages/outbound/${id}/${what}`);
        expect(json.Body).not.toMatch(/\/[cou]\/=?\r?\n?[a-z2-7]*~/);
      }
      const details = (await system.api("GET", `/messages/outbound/${id}/details`)).json;
      expect(details.HtmlBody).toContain(copies[0]?.hrefs[0]);
      // Each arrived once.
      for (const address of to) expect(await system.inbox({ to: address })).toHaveLength(1);
    });
  }

  it("from a template, in bulk and scheduled arrives so too", async () => {
    const template = {
      ...{ Name: "t", Subject: "{{name}}", TextBody: "{{{ pm:unsubscribe }}}" },
      HtmlBody: '<a href="https://example.org/{{name}}">x</a><a href="{{{ pm:unsubscribe_url }}}">bye</a>',
    };
    const { json: made } = await system.api("POST", "/templates", template);
    const by = { From: "sender@example.com", TemplateId: made.TemplateId, TemplateModel: { name: "n" } };
    const bulk = {
      ...{ From: "sender@example.com", Subject: "s", HtmlBody: HTML, ...ALL, MessageStream: "broadcast" },
      Messages: [{ To: "bulk@way.example", TemplateModel: {} }],
    };
    const later = { SendAt: new Date(Date.now() + 3_000).toISOString() };
    const posted = [
      await system.api("POST", "/email/withTemplate", { ...by, ...ALL, To: "template@way.example" }),
      await system.api("POST", "/email/bulk", bulk),
      await system.api("POST", "/email", {
        ...{ From: "sender@example.com", Subject: "s", HtmlBody: HTML, ...ALL, ...later },
        To: "later@way.example, and@way.example",
      }),
    ];
    expect(posted.map(({ status }) => status)).toEqual([200, 200, 200]);
    const templated = await read(await system.arrives("template@way.example"));
    expect(templated.hrefs[0]).toMatch(ours("c"));
    expect(templated.hrefs[1]).toMatch(ours("u"));
    expect(templated.text.trim()).toBe(templated.hrefs[1]);
    const mailing = await read(await system.arrives("bulk@way.example", 60_000));
    expect(mailing.hrefs[0]).toMatch(ours("c"));
    expect(mailing.hrefs[1]).toMatch(ours("u"));
    const scheduled = [
      await read(await system.arrives("later@way.example", 60_000)),
      await read(await system.arrives("and@way.example", 60_000)),
    ];
    for (const { hrefs, pictures, dkim } of scheduled) {
      expect([hrefs[0], pictures[0]]).toEqual([
        expect.stringMatching(ours("c")),
        expect.stringMatching(ours("o")),
      ]);
      expect(dkim).toEqual(["pass", "pass"]);
    }
    expect(new Set(scheduled.flatMap(({ hrefs }) => hrefs)).size).toBe(2);
  });

  it("that comes back is quoted as its recipient was to get it", async () => {
    const to = ["fine@back.example", "hard-bounce@back.example"];
    const headers = { "X-PM-TrackOpens": "true", "X-PM-TrackLinks": "HtmlAndText" };
    await submit(to, headers, {
      envelope: { from: "me@author.example", to },
      dsn: { return: "full", notify: ["failure"] },
    });
    const { raw } = await system.arrives("me@author.example");
    expect(raw).toContain("Final-Recipient: rfc822; hard-bounce@back.example");
    expect(raw).not.toContain("~7ks");
    const report = await PostalMime.parse(raw, { forceRfc822Attachments: true });
    const original = report.attachments.find((a) => a.mimeType === "message/rfc822")?.content as ArrayBuffer;
    const fine = await read(await system.arrives("fine@back.example"));
    const token = (text = "") => /\/c\/([a-z2-7]{48})([a-z2-7]{14})\//.exec(text)?.slice(1) ?? [];
    const [quoted, sent] = [token((await PostalMime.parse(original)).html), token(fine.hrefs[0])];
    expect(quoted[0]).toBe(sent[0]);
    expect(quoted[1]).toMatch(/^ab/);
    expect(sent[1]).toMatch(/^aa/);
  });

  it("to three reaches each though everything is killed meanwhile, with links of their own", async () => {
    const to = (n: number) => ["a", "b", "c"].map((who) => `${who}${n}@kill${n % 3}.example`);
    const count = 20;
    await Promise.all(Array.from({ length: count }, (_, n) => send(to(n), ALL)));
    system.kill("workerd");
    system.kill("gateway");
    await until(
      "the system is back",
      async () => {
        try {
          return (await system.ledger()).waiting === 0;
        } catch {
          return false;
        }
      },
      120_000,
    );
    const links = new Set<string>();
    for (const address of Array.from({ length: count }, (_, n) => to(n)).flat()) {
      const copies = await system.inbox({ to: address });
      expect(copies.length, address).toBeGreaterThanOrEqual(1);
      const { hrefs, dkim } = await read(copies[0] as InboxMessage);
      expect(dkim).toEqual(["pass", "pass"]);
      links.add(hrefs[0] ?? "");
      // A second copy, of a session that was cut, is the first again.
      for (const copy of copies) expect(copy.raw).toBe(copies[0]?.raw);
    }
    expect(links.size).toBe(3 * count);
  }, 240_000);

  it("that is tracked to nobody's wish arrives as it was written, in one transaction for a domain", async () => {
    await send(names("plain"));
    const { hrefs, inText } = await read(await system.arrives("plain-one@a.example"));
    expect([hrefs, inText]).toEqual([[LINK], [LINK]]);
    const [both] = await system.inbox({ to: "plain-one@a.example" });
    expect(both?.envelope.to.toSorted()).toEqual(["plain-one@a.example", "plain-two@a.example"]);
  });
});

describe("what a recipient does with the links", () => {
  const READER = { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };

  it("is told of that recipient, and of nobody else", async () => {
    const to = names("act");
    const id = await send(to, ALL);
    const { hrefs, pictures, inText } = await read(await system.arrives(to[1] ?? ""));
    const picture = await fetch(pictures[0] ?? "", { headers: READER });
    expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/gif"]);
    for (const link of [hrefs[0], inText[0]]) {
      const clicked = await fetch(link ?? "", { redirect: "manual", headers: READER });
      expect([clicked.status, clicked.headers.get("location")]).toEqual([302, LINK]);
    }
    const seen = async (what: string) => {
      const { json } = await system.api("GET", `/messages/outbound/${what}/${id}?count=10&offset=0`);
      return json[what === "opens" ? "Opens" : "Clicks"] as Record<string, unknown>[];
    };
    await until("the open and the click are recorded", async () => {
      return (await seen("opens")).length > 0 && (await seen("clicks")).length > 0;
    });
    expect(await seen("opens")).toMatchObject([{ Recipient: to[1], MessageID: id }]);
    // The same link in both texts is one, and its first click is kept.
    expect(await seen("clicks")).toMatchObject([
      { Recipient: to[1], OriginalLink: LINK, ClickLocation: "HTML" },
    ]);
    const { json: stats } = await system.api("GET", "/stats/outbound");
    expect(stats.TotalTrackedLinksSent).toBeGreaterThanOrEqual(3);
  });

  it("a link that was changed leads nowhere", async () => {
    await send(["evil@one.example"], ALL);
    const [link = ""] = (await read(await system.arrives("evil@one.example"))).hrefs;
    const cut = link.lastIndexOf("/") + 2;
    const evil = link.slice(0, cut) + Buffer.from("https://evil.example/").toString("base64url");
    for (const changed of [evil, link.replace(/[a-z2-7]\/h/, "/h"), `${link}A`]) {
      const { status, headers } = await fetch(changed, { redirect: "manual" });
      expect([status, headers.get("location")]).toEqual([404, null]);
    }
  });

  it("a click of a mail program's button unsubscribes that recipient, and the next send is refused", async () => {
    const to = names("leave");
    await send(to, { MessageStream: "broadcast" });
    const { listUnsubscribe } = await read(await system.arrives(to[2] ?? ""));
    const [, url = ""] = /<(http[^>]+)>/.exec(listUnsubscribe) ?? [];
    const body = "List-Unsubscribe=One-Click";
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    expect((await fetch(url, { method: "POST", headers, body })).status).toBe(200);
    const again = (address = "", MessageStream = "broadcast") =>
      system.api("POST", "/email", {
        ...{ From: "sender@example.com", To: address, Subject: "Again", TextBody: "x", MessageStream },
      });
    expect(await again(to[2])).toMatchObject({ status: 422, json: { ErrorCode: 406 } });
    // The others, and on another stream the same, still get mail.
    expect((await again(to[0])).status).toBe(200);
    expect((await again(to[2], "outbound")).status).toBe(200);
    const { json } = await system.api("GET", "/message-streams/broadcast/suppressions/dump");
    expect(json.Suppressions).toMatchObject([
      { EmailAddress: to[2], SuppressionReason: "ManualSuppression", Origin: "Recipient" },
    ]);
  });
});

describe("mail to the address that unsubscribes", () => {
  it("unsubscribes the recipient that it names, whoever sends it", async () => {
    const to = names("mailto");
    await send(to, { MessageStream: "broadcast" });
    const { listUnsubscribe } = await read(await system.arrives(to[1] ?? ""));
    const [, address = ""] = /<mailto:([^?]+)/.exec(listUnsubscribe) ?? [];
    const { smtp } = system.local;
    const transport = createTransport({
      host: "127.0.0.1",
      port: smtp.port,
      tls: { rejectUnauthorized: false },
    });
    const mail = { from: "alias@elsewhere.example", to: address, subject: "unsubscribe", text: "" };
    expect((await transport.sendMail(mail)).response).toMatch(/^250/);
    transport.close();
    await until("the next send is refused", async () => {
      const { json } = await system.api("POST", "/email", {
        ...{
          From: "sender@example.com",
          To: to[1],
          Subject: "Again",
          TextBody: "x",
          MessageStream: "broadcast",
        },
      });
      return json.ErrorCode === 406;
    });
  });
});

describe("a broadcast", () => {
  it("has a footer and the fields that unsubscribe with one click, each recipient's own", async () => {
    const to = names("news");
    await send(to, { MessageStream: "broadcast" });
    const fields: string[] = [];
    for (const address of to) {
      const { hrefs, text, listUnsubscribe, post, dkim } = await read(await system.arrives(address));
      expect(hrefs[0]).toBe(LINK);
      expect(hrefs[1]).toMatch(ours("u"));
      expect(text).toContain(`Unsubscribe: ${hrefs[1]}`);
      const [, mailbox, url] =
        /^<mailto:(u-[a-z2-7]{62}@bounces\.example\.com)\?subject=unsubscribe>, <(.*)>$/.exec(
          listUnsubscribe,
        ) ?? [listUnsubscribe];
      expect(mailbox).toBeDefined();
      expect([url, post]).toEqual([hrefs[1], "List-Unsubscribe=One-Click"]);
      expect(dkim).toEqual(["pass", "pass"]);
      fields.push(listUnsubscribe);
    }
    expect(new Set(fields).size).toBe(3);
  });
});
