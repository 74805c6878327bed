/** What is accepted leads through us where that was asked for, whichever way it came, for each recipient apart; all else is what it was. */
import { load } from "cheerio";
import PostalMime from "postal-mime";
import { beforeAll, describe, expect, it } from "vitest";
import { type AcceptNeeds, accept, acceptBatch, type ClientMessage } from "../../src/accept/accept.ts";
import type { AcceptRequest } from "../../src/accept/needs.ts";
import { makeTracker } from "../../src/accept/tracker.ts";
import type { ServerPolicy, StreamPolicy } from "../../src/accounts/policy.ts";
import { fillBlanks } from "../../src/compose/fill.ts";
import type { Submission } from "../../src/mail/message.ts";
import { formatMessageId } from "../../src/mail/message-id.ts";
import {
  fillRecipient,
  parseClick,
  parseOpen,
  parseUnsubscribe,
  parseUnsubscribeAddress,
  RECIPIENT_BLANK,
  trackingKey,
} from "../../src/mail/tracking-link.ts";

const NOW = 1_700_000_000_000;
const stream = (id: string, unsubscribe: StreamPolicy["unsubscribe"]): StreamPolicy => ({
  ...{ id, type: unsubscribe === "None" ? "Transactional" : "Broadcasts", archived: false },
  ...{ unsubscribe, giveUpAfterMs: 3_600_000 },
});
const policy: ServerPolicy = {
  ...{ serverId: 7, accountId: 1, name: "Server", tokens: [], smtpActivated: true, smtpTokens: [] },
  ...{ sandbox: false, trackOpens: false, trackLinks: "None", transports: ["gateway"] },
  streams: [stream("outbound", "None"), stream("news", "Postmark"), stream("own", "Custom")],
  ...{ domains: ["example.com", "shop.example"], senders: [], keys: [] },
  returnPathDomains: { "shop.example": "pm-bounces.shop.example" },
  trackingDomains: { "shop.example": "click.shop.example" },
};
const LINK = "https://example.org/a?b=1&c=2";
const HTML = `<html><body><p>Grüße <a class="x" href="${LINK.replace("&", "&amp;")}">a</a></p></body></html>`;
const TEXT = `Grüße ${LINK}.\n`;
const BASE: Submission = {
  ...{ from: { email: "a@example.com", name: "" }, to: [{ email: "x@one.example", name: "" }] },
  ...{ cc: [], bcc: [], replyTo: [], subject: "s", htmlBody: HTML, textBody: TEXT, tag: "", headers: [] },
  ...{ metadata: {}, attachments: [], trackOpens: false, trackLinks: "None", stream: "outbound" },
};
const THREE = ["x@one.example", "y@one.example", "z@two.example"].map((email) => ({ email, name: "" }));
const ALL = { trackOpens: true, trackLinks: "HtmlAndText" } as const;

let key: CryptoKey;
beforeAll(async () => {
  key = await trackingKey("secret");
});

type Taken = AcceptRequest["messages"][number];

function gate(fails = false) {
  const taken: Taken[] = [];
  const logged: string[] = [];
  const calls = { tracker: 0 };
  const needs: AcceptNeeds = {
    now: () => NOW,
    randomBytes: (count) => new Uint8Array(count).fill(5),
    outbox: () => ({
      async accept({ messages }) {
        taken.push(...messages);
        return { kind: "accepted", results: [] };
      },
    }),
    putObject: async () => undefined,
    ...{ mailDomain: "mail.example.com", shardsPerRegion: 1 },
    log: (event) => logged.push(event),
    tracking: {
      ...{ publicUrl: "https://track.example.com/", recipientBlank: RECIPIENT_BLANK },
      tracker(message, wishes) {
        calls.tracker++;
        if (fails) throw new Error("no");
        return makeTracker(key, message, wishes);
      },
      log: (event) => logged.push(event),
    },
  };
  return { needs, taken, logged, calls };
}

async function send(submission: Partial<Submission>, made = gate()): Promise<Taken> {
  await accept(policy, [{ ...BASE, ...submission }], { region: "local" }, made.needs);
  return made.taken[0] as Taken;
}

async function sendRaw(raw: string, more: Partial<ClientMessage> = {}, made = gate()): Promise<Taken> {
  const messageId = formatMessageId({ region: "local", number: 0, acceptedAt: NOW }, new Uint8Array(8));
  const { from, to, cc, bcc, subject, tag, metadata, trackOpens, trackLinks } = BASE;
  const described = { from, to, cc, bcc, subject, tag, metadata, trackOpens, trackLinks, stream: "outbound" };
  const bytes = Buffer.from(raw.replaceAll("\n", "\r\n"));
  const recipients = (more.to ?? to).map((m) => m.email);
  const message = { ...described, attachments: [], bounceType: "", messageId, recipients, bytes, ...more };
  await acceptBatch(policy, { key: "k", refuseInactive: "406", messages: [message] }, made.needs);
  return made.taken[0] as Taken;
}

const bytesOf = ({ body }: Taken) => body as Uint8Array;
const textOf = (taken: Taken) => Buffer.from(bytesOf(taken)).toString("latin1");
async function copyOf(taken: Taken, place: number): Promise<Uint8Array> {
  return fillBlanks(bytesOf(taken), RECIPIENT_BLANK, await fillRecipient(key, taken.message.id, place));
}

/** What each link of a message says when it is followed. */
async function follow(bytes: Uint8Array, base = "https://track.example.com") {
  const { html = "", text = "", headers } = await PostalMime.parse(bytes);
  const page = load(html);
  const say = async (url: string) => {
    if (!url.startsWith(`${base}/`)) return url;
    const [kind, token = "", target = ""] = url.slice(base.length + 1).split("/");
    if (kind === "c") return parseClick(key, token, target);
    return kind === "o" ? parseOpen(key, token) : parseUnsubscribe(key, token);
  };
  const attributes = (selector: string, name: string) =>
    page(selector)
      .toArray()
      .map((element) => page(element).attr(name) ?? "");
  const field = headers.find((h) => h.key === "list-unsubscribe")?.value ?? "";
  const [, address = "", oneClick = ""] = /^<mailto:(.*?)\?subject=unsubscribe>, <(.*)>$/.exec(field) ?? [];
  return {
    html,
    text,
    hrefs: await Promise.all(attributes("a", "href").map(say)),
    pictures: await Promise.all(attributes("img", "src").map(say)),
    inText: await Promise.all((text.match(/https?:\/\/[^\s]+?(?=[.]?\s)/g) ?? []).map(say)),
    byMail: await parseUnsubscribeAddress(key, address),
    mailHost: address.split("@")[1],
    oneClick: await say(oneClick),
    post: headers.find((h) => h.key === "list-unsubscribe-post")?.value,
    field,
  };
}

const whose = ({ message }: Taken, index = 0) => ({ serverId: 7, messageId: message.id, index });

describe("a message by the API", () => {
  it("to one leads through us for that one, is not personal, and counts its links once", async () => {
    const taken = await send(ALL);
    const { hrefs, pictures, inText, html, field } = await follow(bytesOf(taken));
    const click = { ...whose(taken), target: LINK };
    expect(hrefs).toEqual([{ ...click, location: "HTML" }]);
    expect(inText).toEqual([{ ...click, location: "Text" }]);
    expect(pictures).toEqual([whose(taken)]);
    expect(html).toMatch(/<img [^>]+><\/body><\/html>\s*$/);
    expect(field).toBe("");
    expect(taken.message.summary).toMatchObject({ trackedLinks: 1, ...ALL });
    expect(taken.message.summary.personal).toBeUndefined();
    expect(textOf(taken)).not.toContain(RECIPIENT_BLANK);
  });

  it("to three has a blank that no encoding tears, and leads each through links of their own", async () => {
    for (const filler of ["", "ü".repeat(500), "жжж ".repeat(900), "=".repeat(70)]) {
      const htmlBody = `${HTML}${filler}<a href="https://b.example/">b</a>`;
      const taken = await send({ ...ALL, to: THREE, htmlBody, textBody: TEXT + filler });
      expect(taken.message.summary).toMatchObject({ personal: true, trackedLinks: 2 });
      for (const index of [0, 1, 2]) {
        const { hrefs, pictures, inText } = await follow(await copyOf(taken, index));
        const at = whose(taken, index);
        expect(hrefs).toMatchObject([
          { ...at, target: LINK },
          { ...at, target: "https://b.example/" },
        ]);
        expect([...pictures, ...inText]).toMatchObject([at, { ...at, target: LINK }]);
      }
    }
  });

  it.each([
    ["None", false, false],
    ["HtmlAndText", true, true],
    ["HtmlOnly", true, false],
    ["TextOnly", false, true],
  ] as const)("has links tracked as %s says", async (trackLinks, inHtml, inText) => {
    const found = await follow(bytesOf(await send({ trackLinks, trackOpens: true })));
    expect(found.hrefs[0] !== LINK).toBe(inHtml);
    expect(found.inText[0] !== LINK).toBe(inText);
    expect(found.pictures).toHaveLength(1);
  });

  it("leaves alone what its author marked, in its text too, and links that lead through us already", async () => {
    const mine = `https://track.example.com/u/${"a".repeat(62)}`;
    const htmlBody = `<a data-pm-no-track href="https://n.example/">n</a><a href="${mine}">u</a><a href="https://y.example/">y</a>`;
    const taken = await send({ ...ALL, htmlBody, textBody: "https://n.example/ https://y.example/ \n" });
    const { hrefs, inText, html } = await follow(bytesOf(taken));
    expect(hrefs).toMatchObject(["https://n.example/", undefined, { target: "https://y.example/" }]);
    expect(html).toContain(`<a href="https://n.example/">n</a><a href="${mine}">u</a>`);
    expect(inText).toMatchObject(["https://n.example/", { target: "https://y.example/" }]);
    expect(taken.message.summary.trackedLinks).toBe(1);
  });

  it("leads through its own domain, and is unsubscribed from there", async () => {
    const taken = await send({ ...ALL, from: { email: "a@shop.example", name: "" }, stream: "news" });
    const { hrefs, mailHost, oneClick } = await follow(bytesOf(taken), "https://click.shop.example");
    expect(hrefs).toMatchObject([{ target: LINK }, whose(taken)]);
    expect([mailHost, oneClick]).toEqual(["pm-bounces.shop.example", whose(taken)]);
  });
});

describe("a broadcast", () => {
  it("to one has a footer in both texts and the header's fields, whatever its author wrote there", async () => {
    const headers = [
      { name: "list-unsubscribe", value: "<mailto:own@example.com>" },
      { name: "List-Unsubscribe-Post", value: "own" },
      { name: "X-Own", value: "1" },
    ];
    const taken = await send({ stream: "news", headers });
    const found = await follow(bytesOf(taken));
    const at = whose(taken);
    expect(found.hrefs).toEqual([LINK, at]);
    expect(found.html).toMatch(/>Unsubscribe<\/a><\/p><\/body>/);
    expect(found.text).toMatch(/\n\nUnsubscribe: https:\/\/track\.example\.com\/u\/[a-z2-7]{62}\n+$/);
    expect(found).toMatchObject({ byMail: at, oneClick: at, post: "List-Unsubscribe=One-Click" });
    expect(found.mailHost).toBe("bounces.mail.example.com");
    expect(textOf(taken).match(/^list-unsubscribe/gim)).toHaveLength(2);
    expect(textOf(taken)).toContain("X-Own: 1");
    expect(found.pictures).toEqual([]);
    for (const line of textOf(taken).split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
  });

  it("to three is each one's own to unsubscribe from", async () => {
    const taken = await send({ stream: "news", to: THREE, htmlBody: "" });
    for (const index of [0, 1, 2]) {
      const found = await follow(await copyOf(taken, index));
      const at = whose(taken, index);
      expect(found).toMatchObject({ byMail: at, oneClick: at, inText: [LINK, at] });
    }
    expect(taken.message.summary).toMatchObject({ personal: true });
  });

  it("has no footer in a text where its author put the link", async () => {
    const htmlBody = `<p>{{{ pm:unsubscribe }}} <a href="{{{pm:unsubscribe_url}}}">stop</a></p>`;
    const taken = await send({ stream: "news", ...ALL, htmlBody });
    const { html, text, hrefs } = await follow(bytesOf(taken));
    expect(hrefs).toEqual([whose(taken), whose(taken)]);
    expect(html).toMatch(/^<p><a href="([^"]+)">Unsubscribe<\/a> <a href="\1">stop<\/a><\/p><img [^>]+>$/m);
    expect(text).toContain("\n\nUnsubscribe: ");
  });

  it("with handling of its own gets nothing", async () => {
    const made = gate();
    const htmlBody = "{{{ pm:unsubscribe }}}";
    const taken = await send({ stream: "own", htmlBody }, made);
    expect((await follow(bytesOf(taken))).html.trim()).toBe(htmlBody);
    expect(made.calls.tracker).toBe(0);
  });
});

describe("transactional mail", () => {
  it("has its placeholders filled, and nothing else", async () => {
    const headers = [{ name: "List-Unsubscribe", value: "<mailto:own@example.com>" }];
    const taken = await send({ htmlBody: HTML, textBody: "Stop: {{{ pm:unsubscribe }}} \n", headers });
    const { html, inText, field } = await follow(bytesOf(taken));
    expect([html.trim(), inText, field]).toEqual([HTML, [whose(taken)], "<mailto:own@example.com>"]);
  });

  it("that asks for nothing is composed as if there was no tracking", async () => {
    const made = gate();
    const tracked = await send({ to: THREE }, made);
    const { tracking: _, ...without } = made.needs;
    await accept(policy, [{ ...BASE, to: THREE }], { region: "local" }, without);
    expect(tracked).toEqual(made.taken[1]);
    expect(made.calls.tracker).toBe(0);
  });

  it("goes as it came when it cannot be tracked, and says so", async () => {
    const made = gate(true);
    const taken = await send(ALL, made);
    const { html, text } = await follow(bytesOf(taken));
    expect([html.trim(), text.trim()]).toEqual([HTML, TEXT.trim()]);
    expect(taken.message.summary.notTracked).toBe("failed");
    expect(made.logged).toEqual(["message not tracked"]);
  });
});

const MIME = `From: a@example.com
To: x@one.example
List-Unsubscribe: <mailto:own@example.com>
Subject: s
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: multipart/alternative; boundary=alt

--alt
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe https://example.org/a?b=3D1&c=3D2.
https://n.example/=20
--alt
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

${Buffer.from(`${HTML.replace("</p>", '<a data-pm-no-track href="https://n.example/">n</a></p>')}\n`).toString("base64")}
--alt--
--m
Content-Type: text/html; name=report.html
Content-Disposition: attachment

<a href="https://example.org/">not to be touched</a>
--m--
`;

describe("a client's message", () => {
  const SMTP = { trackOpens: true, trackLinks: "HtmlAndText" } as const;

  it("leads one through us, its attachments and header untouched", async () => {
    const taken = await sendRaw(MIME, SMTP);
    const { hrefs, inText, pictures, field } = await follow(bytesOf(taken));
    const click = { ...whose(taken), target: LINK };
    expect(hrefs).toEqual([{ ...click, location: "HTML" }, "https://n.example/"]);
    expect(inText).toEqual([{ ...click, location: "Text" }, "https://n.example/"]);
    expect(pictures).toEqual([whose(taken)]);
    expect(field).toBe("<mailto:own@example.com>");
    const [before, after] = [MIME.replaceAll("\n", "\r\n"), textOf(taken)];
    const frame = (text: string) => [text.split("--alt")[0], text.split("--alt--")[1]];
    expect(frame(after)).toEqual(frame(before));
    expect(taken.message.summary).toMatchObject({ trackedLinks: 1 });
  });

  it("leads three each through links of their own", async () => {
    const taken = await sendRaw(MIME, { ...SMTP, to: THREE });
    expect(taken.message.summary.personal).toBe(true);
    for (const index of [0, 1, 2]) {
      const { hrefs, inText, pictures } = await follow(await copyOf(taken, index));
      const at = whose(taken, index);
      expect([hrefs[0], inText[0], pictures[0]]).toMatchObject([
        { ...at, target: LINK },
        { ...at, target: LINK },
        at,
      ]);
    }
  });

  it("on a broadcast stream has footers and fields of ours", async () => {
    const taken = await sendRaw(MIME, { stream: "news" });
    const found = await follow(bytesOf(taken));
    const at = whose(taken);
    expect(found.hrefs).toEqual([LINK, "https://n.example/", at]);
    expect(found).toMatchObject({ byMail: at, oneClick: at, post: "List-Unsubscribe=One-Click" });
    expect(textOf(taken)).not.toContain("own@example.com");
  });

  it.each([
    ["signed", MIME.replace("multipart/mixed", "multipart/signed"), "signed"],
    ["encrypted", "Content-Type: application/pkcs7-mime\n\nabc\n", "encrypted"],
    [
      "in a charset that cannot be encoded",
      "Content-Type: text/plain; charset=iso-2022-jp\n\nhttps://example.org/\n",
      "charset",
    ],
  ])("that is %s stays as it came, and its record says why", async (_, raw, why) => {
    const taken = await sendRaw(raw, SMTP);
    expect(textOf(taken)).toBe(Buffer.from(raw.replaceAll("\n", "\r\n")).toString("latin1"));
    expect(taken.message.summary.notTracked).toBe(why);
  });

  it("that asks for nothing, or is refused, stays as it came", async () => {
    const made = gate();
    const raw = MIME.replaceAll("\n", "\r\n");
    expect(textOf(await sendRaw(MIME, {}, made))).toBe(raw);
    expect(textOf(await sendRaw(MIME, { ...SMTP, refusal: "405" }, gate()))).toBe(raw);
    expect(made.calls.tracker).toBe(0);
  });
});
