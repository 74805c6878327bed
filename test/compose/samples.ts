/** Submissions of all the shapes that people send, each with what must be read back of it. Made here, from no one's mail. */
import type { Attachment, Mailbox, Submission } from "../../src/mail/message.ts";

export const IDS = {
  messageId: "0193abcd-0000-8000-8000-0123456789ab",
  acceptedAt: Date.UTC(2026, 1, 17, 12, 25, 1),
  messageIdDomain: "mail.example.org",
};

export const BASE: Submission = {
  from: { email: "shop@example.com", name: "Shop" },
  to: [{ email: "alice@example.net", name: "Alice" }],
  cc: [],
  bcc: [],
  replyTo: [],
  subject: "Your order",
  htmlBody: "",
  textBody: "Hello Alice,\n\nyour order has been shipped today.\n",
  tag: "",
  headers: [],
  metadata: {},
  attachments: [],
  trackOpens: false,
  trackLinks: "None",
  stream: "outbound",
};

/** What most of our users send: about 2 KB of text and HTML together. */
const NOTE = "Hello Alice, your order 12345 has been shipped and will arrive on Tuesday.\n";
const HTML = `<html><body>\n${`<p>${NOTE.trim()}</p>\n`.repeat(8)}</body></html>\n`;
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const to = (...names: string[]): Mailbox[] => names.map((name, i) => ({ email: `a${i}@example.net`, name }));
const file = (
  name: string,
  contentType: string,
  content = base64("content"),
  contentId = "",
): Attachment => ({
  name,
  contentType,
  content,
  contentId,
});
const image = (name: string, contentId: string) => file(name, "image/png", PIXEL, contentId);

const MESSAGE = "From: a@example.com\nSubject: within\n\nHello\n.a\n--=_mixed\n";

export const SAMPLES: Record<string, Partial<Submission>> = {
  "plain text": {},
  "HTML only": { textBody: "", htmlBody: HTML },
  "text and HTML": { textBody: NOTE.repeat(8), htmlBody: HTML },
  Cyrillic: { subject: "Ваш заказ отправлен", textBody: "Здравствуйте!\nВаш заказ уже в пути.\n".repeat(20) },
  Chinese: { subject: "您的订单已发货", textBody: "您好，您的订单今天已经发货。\n".repeat(30) },
  "Japanese, long lines": { subject: "ご注文ありがとうございます", textBody: "ご注文".repeat(400) },
  Arabic: { subject: "تم شحن طلبك", textBody: "مرحبا، تم شحن طلبك اليوم.\n".repeat(10) },
  "Hebrew, both": {
    subject: "ההזמנה נשלחה",
    htmlBody: '<p dir="rtl">ההזמנה נשלחה היום</p>',
    textBody: "ההזמנה",
  },
  emoji: { subject: "🎉 Shipped 👩‍👩‍👧‍👦 now", textBody: "It's on its way 🚚🇫🇷\n" },
  "some accents": {
    subject: "Résumé à télécharger",
    textBody: "Voilà votre résumé, à télécharger.\n".repeat(9),
  },
  "mathematical letters beyond the BMP": { subject: "𝕳𝖊𝖑𝖑𝖔 ".repeat(40).trim(), textBody: "𝕳𝖊𝖑𝖑𝖔" },
  "no subject": { subject: "" },
  "subject of spaces": { subject: "   " },
  "subject of 2,000 ASCII characters without a space": { subject: "x".repeat(2000) },
  "subject of 2,000 ASCII characters": { subject: `${"word ".repeat(399)}words` },
  "subject of 2,000 Chinese characters": { subject: "订".repeat(2000) },
  "subject with spaces in a row": { subject: "a  b   c é  d" },
  "subject that looks encoded": { subject: "=?utf-8?Q?not_this?= and =?that" },
  "subject that hides a line": { subject: "=?utf-8?Q?a=0D=0ABcc:_x@example.org?=" },
  "subject in quotes and colons": { subject: 'Re: "Fwd: a:b" <x@example.org>; (c), d' },
  "names with quotes and commas": { to: to('Smith, "Bob" John', "a,b;c", 'back\\slash "quote"') },
  "names with parentheses and dots": { to: to("Ann (Ltd.)", "J. R. Smith", "<angle>", "a@b.example") },
  "names in scripts": { to: to("Зоя", "山田太郎", "مريم", "Zoë, Müller & Søn", "🎉") },
  "long names": { to: to("Name ".repeat(40).trim(), "долгое имя ".repeat(20).trim()) },
  "no names": { from: { email: "shop@example.com", name: "" }, to: to("", "") },
  "50 recipients": {
    to: Array.from({ length: 25 }, (_, i) => ({ email: `to${i}@example.net`, name: `To ${i}` })),
    cc: Array.from({ length: 25 }, (_, i) => ({ email: `cc${i}@example.net`, name: `Копия ${i}` })),
  },
  "Cc and Reply-To": { cc: to("Copy"), replyTo: to("Help, Desk", "") },
  "only Bcc": { to: [], bcc: to("Hidden") },
  "only Cc": { to: [], cc: to("Shown"), bcc: to("Hidden") },
  "domain in another script": { to: [{ email: "info@bücher.example", name: "Bücher" }] },
  "one long line": { textBody: "x".repeat(5000) },
  "lines of 998 octets": { textBody: `${"x".repeat(998)}\n${"y z ".repeat(249)}zz\n` },
  "lines of 76 and 77": {
    textBody: `${"x".repeat(76)}\n${"y".repeat(77)}\n${"é".repeat(38)}\n${"é".repeat(39)}\n`,
  },
  "dots and From": { textBody: ".\n..\n.a\nFrom here\n>From there\n--=_mixed\n--\nFrom\n" },
  "dots and From in HTML that is encoded": { htmlBody: `<p>é\n.\nFrom here\n${"x.".repeat(300)}\n.</p>` },
  "spaces at the ends of lines": { textBody: "a \nb\t\n \n\t\n  c\n-- \nShop " },
  "bare CR and LF": { textBody: "a\rb\nc\r\nd\n\re\r\r\nf" },
  "NUL and other controls": { textBody: "a\u0000b\u0001c\u001bd\u007fe" },
  "lone surrogates": { textBody: "a\ud800b", subject: "c\udc00d" },
  "text that ends without a line end": { textBody: "end", htmlBody: "<p>end</p>" },
  "many empty lines at the end": { textBody: "end\n\n\n\n\n" },
  "equals signs": { textBody: "a=b\n=20\n==\n=E9=\n" },
  "5 MB of text": { textBody: NOTE.repeat(68_000) },
  "5 MB in one line": { textBody: "é".repeat(2_500_000) },
  "an attachment": { attachments: [file("a.pdf", "application/pdf", base64("%PDF-1.4 ".repeat(3000)))] },
  "attachments of kinds": {
    htmlBody: HTML,
    attachments: [
      file("a.txt", "text/plain", base64("texte é")),
      file("a.csv", "text/csv; charset=iso-8859-1; header=present", base64("a,b")),
      file("invite.ics", 'text/calendar; method=REQUEST; charset="utf-8"', base64("BEGIN:VCALENDAR")),
      file("a.bin", "application/octet-stream; charset=utf-8", Buffer.alloc(300, 255).toString("base64")),
      file("a.json", "application/json", base64("{}")),
      file("a.svg", "image/svg+xml", base64("<svg/>")),
      file("empty.dat", "application/x-empty", ""),
    ],
  },
  "forwarded messages": {
    attachments: [
      file("plain.eml", "message/rfc822", base64(MESSAGE)),
      file("utf8.eml", "message/rfc822", base64(`${MESSAGE}é`)),
      file("parts.mht", "multipart/related; boundary=x", base64("--x\r\n\r\n--x--")),
    ],
  },
  "attachment names in scripts": {
    attachments: [
      file("счёт за январь.pdf", "application/pdf"),
      file("請求書.pdf", "application/pdf"),
      file("فاتورة.pdf", "application/pdf"),
      file(`${"очень длинное имя ".repeat(8)}.pdf`, "application/pdf"),
    ],
  },
  "attachment names that are odd": {
    attachments: [
      file('a "quoted" name.pdf', "application/pdf"),
      file("back\\slash.pdf", "application/pdf"),
      file("inline; attachment=1.pdf", "application/pdf"),
      file("100%'*.pdf", "application/pdf"),
      file(`${"long ".repeat(30)}.pdf`, "application/pdf"),
      file("", "application/pdf"),
    ],
  },
  "attachment types that are odd": {
    attachments: [
      file("a", "not a type"),
      file("b", "text/html\r\nX-Evil: 1"),
      file("c", 'application/x-c; name="other"; x="a b"'),
      file("d", "image/png; charset=utf-8"),
    ],
  },
  "inline images": {
    textBody: "see",
    htmlBody: '<p><img src="cid:logo.png"><img src="cid:b@example.com"></p>',
    attachments: [image("logo.png", "logo.png"), image("b.png", "b@example.com")],
  },
  "inline images and no text": {
    textBody: "",
    htmlBody: '<img src="cid:logo.png">',
    attachments: [image("logo.png", "logo.png")],
  },
  "inline images and attachments": {
    textBody: "see",
    htmlBody: '<img src="cid:logo.png">',
    attachments: [image("inline.png", "logo.png"), file("attachment.pdf", "application/pdf")],
  },
  "inline images without HTML": { attachments: [image("logo.png", "logo.png")] },
  "2 MB attachment": {
    attachments: [file("big.bin", "application/zip", Buffer.alloc(2_000_000, "abcdefg").toString("base64"))],
  },
  "custom headers": {
    tag: "welcome-é",
    metadata: { secret: "unseen" },
    headers: [
      { name: "X-Plain", value: "one two" },
      { name: "X-Accented", value: "déjà vu, and ASCII after" },
      { name: "X-Long", value: "word ".repeat(100) },
      {
        name: "List-Unsubscribe",
        value: `<https://example.com/u/${"a".repeat(300)}>, <mailto:u@example.com>`,
      },
      { name: "List-Unsubscribe-Post", value: "List-Unsubscribe=One-Click" },
      { name: "References", value: Array.from({ length: 20 }, (_, i) => `<r${i}@example.com>`).join(" ") },
      { name: "In-Reply-To", value: "<r19@example.com>" },
    ],
  },
  "Message-ID of the caller": { headers: [{ name: "message-id", value: "<mine.1@example.com>" }] },
};

export function sample(name: string): Submission {
  return { ...BASE, ...SAMPLES[name] };
}
