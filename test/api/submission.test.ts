/** Every rule about one message: what it becomes, and the code and text with which it is refused. */
import { describe, expect, it } from "vitest";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import { parseSubmission, readMessageFields } from "../../src/api/submission.ts";
import type { Submission } from "../../src/mail/message.ts";
import { MESSAGE, POLICY } from "./sending.ts";

type Read = { ok: Submission } | { error: { code: number; message: string } };

function read(change: Record<string, unknown>, policy: ServerPolicy | "anybody" = POLICY): Read {
  const fields = readMessageFields({ ...MESSAGE, ...change });
  return "error" in fields ? fields : parseSubmission(fields.ok, policy === "anybody" ? undefined : policy);
}

function many(count: number, name = "r"): string {
  return Array.from({ length: count }, (_, i) => `${name}${i}@far.org`).join(",");
}

const ATTACHMENT = { Name: "a.txt", Content: "aGVsbG8=", ContentType: "text/plain" };
const attach = (change: Record<string, unknown>) => ({ Attachments: [{ ...ATTACHMENT, ...change }] });
const header = (Name: unknown, Value: unknown) => ({ Headers: [{ Name, Value }] });

describe("a message is read", () => {
  it("with nothing but what it needs", () => {
    expect(read({})).toEqual({
      ok: {
        from: { email: "ann@example.com", name: "Ann" },
        to: [{ email: "bob@far.org", name: "" }],
        cc: [],
        bcc: [],
        replyTo: [],
        subject: "Hello",
        htmlBody: "",
        textBody: "Hi",
        tag: "",
        headers: [],
        metadata: {},
        attachments: [],
        trackOpens: false,
        trackLinks: "None",
        stream: "outbound",
      },
    });
  });

  it.each<[string, Record<string, unknown>, Partial<Submission>]>([
    [
      "only the first From",
      { From: "a@example.com, b@example.com" },
      { from: { email: "a@example.com", name: "" } },
    ],
    [
      "a From at an IDN domain",
      { From: "a@münchen.de" },
      { from: { email: "a@xn--mnchen-3ya.de", name: "" } },
    ],
    [
      "a From whose domain is upper case",
      { From: "a@EXAMPLE.com" },
      { from: { email: "a@EXAMPLE.com", name: "" } },
    ],
    ["Cc alone", { To: "", Cc: "c@far.org" }, { to: [], cc: [{ email: "c@far.org", name: "" }] }],
    ["Bcc alone", { To: null, Bcc: "c@far.org" }, { to: [], bcc: [{ email: "c@far.org", name: "" }] }],
    ["a trailing comma", { To: "b@far.org," }, { to: [{ email: "b@far.org", name: "" }] }],
    [
      "ReplyTo list",
      { ReplyTo: "x@y.org, Z <z@y.org>" },
      {
        replyTo: [
          { email: "x@y.org", name: "" },
          { email: "z@y.org", name: "Z" },
        ],
      },
    ],
    [
      "the signature's reply-to",
      { From: "KIM@signed.org" },
      { replyTo: [{ email: "desk@signed.org", name: "Desk" }] },
    ],
    [
      "ReplyTo before the signature's",
      { From: "kim@signed.org", ReplyTo: "o@y.org" },
      { replyTo: [{ email: "o@y.org", name: "" }] },
    ],
    ["no subject", { Subject: null }, { subject: "" }],
    ["a subject of 2000", { Subject: "s".repeat(2000) }, { subject: "s".repeat(2000) }],
    [
      "a subject with a line break",
      { Subject: "Hi\r\nBcc: e@evil.org\n" },
      { subject: "Hi Bcc: e@evil.org" },
    ],
    ["a subject with NUL", { Subject: "a\0b" }, { subject: "ab" }],
    ["a subject with half a surrogate pair", { Subject: "a\ud800" }, { subject: "a\ufffd" }],
    ["HTML alone", { TextBody: "", HtmlBody: "<p>" }, { textBody: "", htmlBody: "<p>" }],
    ["an empty tag", { Tag: "" }, { tag: "" }],
    ["a tag of 1000", { Tag: "t".repeat(1000) }, { tag: "t".repeat(1000) }],
    ["keys in other cases", { textBody: "low", HTMLBody: "<b>" }, { textBody: "low", htmlBody: "<b>" }],
    ["the last of two keys", { tag: "second", TAG: "third" }, { tag: "third" }],
    ["TrackOpens absent", { TrackOpens: null }, { trackOpens: false }],
    ["TrackOpens as a string", { TrackOpens: "true" }, { trackOpens: true }],
    ["TrackOpens as True", { TrackOpens: "True" }, { trackOpens: true }],
    ["TrackOpens as a number", { TrackOpens: 1 }, { trackOpens: true }],
    ["TrackOpens false", { TrackOpens: "0" }, { trackOpens: false }],
    ["TrackLinks empty", { TrackLinks: "" }, { trackLinks: "None" }],
    ["TrackLinks", { TrackLinks: "HtmlOnly" }, { trackLinks: "HtmlOnly" }],
    ["TrackLinks in another case", { trackLinks: "htmlandtext" }, { trackLinks: "HtmlAndText" }],
    ["metadata", { Metadata: { a: "b" } }, { metadata: { a: "b" } }],
    [
      "metadata's keys as they are",
      { Metadata: { Color: "b", sub_Key: "" } },
      { metadata: { Color: "b", sub_Key: "" } },
    ],
    [
      "metadata of other types",
      { Metadata: { a: 2, b: true, c: null } },
      { metadata: { a: "2", b: "true" } },
    ],
    ["PHP's empty metadata", { Metadata: [] }, { metadata: {} }],
    ["metadata null", { Metadata: null }, { metadata: {} }],
    [
      "metadata at its limits",
      { Metadata: { ["k".repeat(20)]: "v".repeat(80) } },
      { metadata: { ["k".repeat(20)]: "v".repeat(80) } },
    ],
    ["headers", header("X-A", "b"), { headers: [{ name: "X-A", value: "b" }] }],
    [
      "headers in other cases",
      { Headers: [{ name: "X-A", VALUE: "b" }] },
      { headers: [{ name: "X-A", value: "b" }] },
    ],
    ["a header that is a number", header("X-Priority", 1), { headers: [{ name: "X-Priority", value: "1" }] }],
    ["a header without value", header("X-A", null), { headers: [{ name: "X-A", value: "" }] }],
    ["a header in other scripts", header("X-A", "ü"), { headers: [{ name: "X-A", value: "ü" }] }],
    ["headers null", { Headers: null }, { headers: [] }],
    ["another stream", { MessageStream: "broadcast" }, { stream: "broadcast" }],
    ["no stream", { MessageStream: "" }, { stream: "outbound" }],
    ["unknown keys", { Colour: "red", TemplateThing: {} }, { subject: "Hello" }],
    [
      "50 recipients",
      { To: many(20), Cc: many(20), Bcc: many(10) },
      { bcc: expect.objectContaining({ length: 10 }) },
    ],
    ["attachments null", { Attachments: null }, { attachments: [] }],
    [
      "an attachment",
      attach({}),
      { attachments: [{ name: "a.txt", contentType: "text/plain", content: "aGVsbG8=", contentId: "" }] },
    ],
    [
      "an attachment without type",
      attach({ ContentType: null }),
      { attachments: [expect.objectContaining({ contentType: "application/octet-stream" })] },
    ],
    [
      "an attachment with a type that is none",
      attach({ ContentType: "pdf" }),
      { attachments: [expect.objectContaining({ contentType: "application/octet-stream" })] },
    ],
    [
      "a type that would break a line",
      attach({ ContentType: "text/plain\r\nBcc: e@evil.org" }),
      { attachments: [expect.objectContaining({ contentType: "application/octet-stream" })] },
    ],
    [
      "a type with parameters",
      attach({ ContentType: "text/calendar; method=REQUEST" }),
      { attachments: [expect.objectContaining({ contentType: "text/calendar; method=REQUEST" })] },
    ],
    [
      "base64 with line breaks",
      attach({ Content: "aGVs\r\nbG8=\r\n" }),
      { attachments: [expect.objectContaining({ content: "aGVsbG8=" })] },
    ],
    [
      "base64 without padding",
      attach({ Content: "aGVsbG8" }),
      { attachments: [expect.objectContaining({ content: "aGVsbG8=" })] },
    ],
    [
      "an empty attachment",
      attach({ Content: "" }),
      { attachments: [expect.objectContaining({ content: "" })] },
    ],
    [
      "an inline image",
      attach({ ContentID: "cid:logo.png" }),
      { attachments: [expect.objectContaining({ contentId: "logo.png" })] },
    ],
    [
      "an inline image, .NET's key",
      attach({ ContentId: "logo@x" }),
      { attachments: [expect.objectContaining({ contentId: "logo@x" })] },
    ],
    [
      "an inline image in brackets",
      attach({ ContentID: "<logo@x>" }),
      { attachments: [expect.objectContaining({ contentId: "logo@x" })] },
    ],
    [
      "no inline image",
      attach({ ContentID: "" }),
      { attachments: [expect.objectContaining({ contentId: "" })] },
    ],
    [
      "attachment keys that are ignored",
      attach({ ContentLength: 5, Disposition: "inline" }),
      { attachments: [expect.objectContaining({ name: "a.txt" })] },
    ],
    [
      "a name with a forbidden word in it",
      attach({ Name: "exe.txt" }),
      { attachments: [expect.objectContaining({ name: "exe.txt" })] },
    ],
    [
      "a name without extension",
      attach({ Name: "exe" }),
      { attachments: [expect.objectContaining({ name: "exe" })] },
    ],
    [
      "a JavaScript file, which is not on the list",
      attach({ Name: "a.js" }),
      { attachments: [expect.objectContaining({ name: "a.js" })] },
    ],
  ])("%s", (_name, change, expected) => {
    expect(read(change)).toEqual({ ok: expect.objectContaining(expected) });
  });

  it("with a key __proto__ in its metadata, as any other", () => {
    const fields = readMessageFields(
      JSON.parse(
        `{"From":"a@example.com","To":"b@far.org","TextBody":"x","__proto__":{"Tag":"no"},"Metadata":{"a":"b"}}`,
      ),
    );
    expect("ok" in fields && parseSubmission(fields.ok, POLICY)).toMatchObject({
      ok: { tag: "", metadata: { a: "b" } },
    });
    expect(({} as Record<string, unknown>).Tag).toBeUndefined();
  });

  it.each([
    ["server off, message absent", false, undefined, false],
    ["server off, message on", false, true, true],
    ["server on, message absent", true, undefined, true],
    ["server on, message off: the server wins", true, false, true],
  ])("opens: %s", (_name, trackOpens, TrackOpens, expected) => {
    expect(read({ TrackOpens }, { ...POLICY, trackOpens })).toMatchObject({ ok: { trackOpens: expected } });
  });

  it.each([
    ["absent: the server's", undefined, "HtmlAndText"],
    ["given: the message's", "TextOnly", "TextOnly"],
    ["turned off by the message", "None", "None"],
  ])("links: %s", (_name, TrackLinks, expected) => {
    expect(read({ TrackLinks }, { ...POLICY, trackLinks: "HtmlAndText" })).toMatchObject({
      ok: { trackLinks: expected },
    });
  });

  it("for the test token, from anybody and on any stream", () => {
    const submission = read({ From: "x@unknown.org", MessageStream: "what" }, "anybody");
    expect(submission).toMatchObject({ ok: { from: { email: "x@unknown.org" }, stream: "what" } });
  });
});

const FORBIDDEN =
  "vbs exe bin bat chm com cpl crt hlp hta inf ins isp jse lnk mdb pcd pif reg scr sct shs vbe vba wsf wsh wsl msc msi msp mst";

describe("a message is refused", () => {
  it.each<[string, Record<string, unknown>, number, string | RegExp]>([
    ["From missing", { From: null }, 300, "Invalid 'From' address: ''."],
    ["From empty", { From: "" }, 300, "Invalid 'From' address: ''."],
    ["From without @", { From: "ann" }, 300, "Invalid 'From' address: 'ann'."],
    [
      "From at localhost",
      { From: "webmaster@localhost" },
      300,
      "Invalid 'From' address: 'webmaster@localhost'.",
    ],
    ["From that is a group", { From: "A: a@example.com, e@evil.org;" }, 300, /Invalid 'From' address/],
    ["From with a line break", { From: "A\r\nBcc: x@y.org <a@example.com>" }, 300, /Invalid 'From' address/],
    ["From with a quoted address", { From: '"a@example.com"@evil.org' }, 300, /Invalid 'From' address/],
    [
      "From of 256 characters",
      { From: `${"n".repeat(240)} <a@example.com>` },
      300,
      "Invalid 'From'. It is limited to 255 characters.",
    ],
    [
      "From unknown",
      { From: "a@other.org" },
      400,
      /^The 'From' address you supplied \(a@other\.org\) is not a Sender Signature on your account\. /,
    ],
    ["From at a subdomain", { From: "a@sub.example.com" }, 400, /Sender Signature/],
    ["From at a longer domain", { From: "a@notexample.com" }, 400, /Sender Signature/],
    ["From beside a signature", { From: "other@signed.org" }, 400, /Sender Signature/],
    ["From whose signature is unconfirmed", { From: "new@signed.org" }, 401, /not been confirmed/],
    ["From whose name is a known address", { From: "ann@example.com <e@evil.org>" }, 400, /\(e@evil\.org\)/],
    ["no recipient", { To: null }, 300, "Invalid 'To' address: ''."],
    ["commas alone", { To: ",," }, 300, /Invalid 'To' address/],
    ["To without @", { To: "x" }, 300, "Invalid 'To' address: 'x'."],
    ["To at localhost", { To: "x@localhost" }, 300, "Invalid 'To' address: 'x@localhost'."],
    [
      "To, one of two bad",
      { To: "a@b.org,x" },
      300,
      "Error parsing 'To': Illegal email address 'x'. It must contain the '@' symbol.",
    ],
    ["Cc bad", { Cc: "user@+" }, 300, "Error parsing 'Cc': Illegal email domain '+' in address 'user@+'."],
    [
      "Bcc bad",
      { Bcc: "x" },
      300,
      "Error parsing 'Bcc': Illegal email address 'x'. It must contain the '@' symbol.",
    ],
    [
      "ReplyTo bad",
      { ReplyTo: "x" },
      300,
      "Error parsing 'Reply-To': Illegal email address 'x'. It must contain the '@' symbol.",
    ],
    ["51 in To", { To: many(51) }, 300, /Too many recipients: 51/],
    ["51 in all", { To: many(20), Cc: many(20), Bcc: many(11) }, 300, /Too many recipients: 51/],
    ["no body", { TextBody: null }, 300, "Provide either email TextBody or HtmlBody or both."],
    [
      "empty bodies",
      { TextBody: "", HtmlBody: "" },
      300,
      "Provide either email TextBody or HtmlBody or both.",
    ],
    ["subject of 2001", { Subject: "s".repeat(2001) }, 300, /'Subject'.*2000/],
    ["subject of 1001 pairs", { Subject: "😀".repeat(1001) }, 300, /'Subject'/],
    ["tag of 1001", { Tag: "t".repeat(1001) }, 300, /'Tag'.*1000/],
    ["tag with a line break", { Tag: "a\r\nX: y" }, 300, /'Tag'/],
    ["text over 5 MB", { TextBody: "x".repeat(5 * 1024 * 1024 + 1) }, 300, /'TextBody'.*5 MB/],
    ["HTML over 5 MB", { HtmlBody: "x".repeat(5 * 1024 * 1024 + 1) }, 300, /'HtmlBody'.*5 MB/],
    ["HTML over 5 MB in UTF-8", { HtmlBody: "ü".repeat(3 * 1024 * 1024) }, 300, /'HtmlBody'.*5 MB/],
    ["over 10 MB in all", attach({ Content: "A".repeat(10 * 1024 * 1024) }), 300, /larger than 10 MB/],
    [
      "11 metadata fields",
      { Metadata: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`k${i}`, "v"])) },
      300,
      /^Invalid metadata content\./,
    ],
    [
      "metadata key of 21",
      { Metadata: { ["k".repeat(21)]: "v" } },
      300,
      /^Invalid metadata content\. Field names are limited to 20 characters/,
    ],
    ["metadata key empty", { Metadata: { "": "v" } }, 300, /^Invalid metadata content\./],
    ["metadata value of 81", { Metadata: { k: "v".repeat(81) } }, 300, /^Invalid metadata content\./],
    ["metadata keys alike", { Metadata: { key: "a", KEY: "b" } }, 300, /^Invalid metadata content\./],
    ["metadata nested", { Metadata: { a: { b: "c" } } }, 300, /^Invalid metadata content\./],
    ["metadata list inside", { Metadata: { a: ["b"] } }, 300, /^Invalid metadata content\./],
    ["header without name", header("", "b"), 300, "Invalid header name: ''."],
    ["header name with a space", header("X A", "b"), 300, /Invalid header name/],
    ["header name with a colon", header("X-A:", "b"), 300, /Invalid header name/],
    ["header name with a line break", header("X-A\r\nBcc", "b"), 300, /Invalid header name/],
    ["header name in other scripts", header("X-Ä", "b"), 300, /Invalid header name/],
    ["header value with CRLF", header("X-A", "b\r\nBcc: e@evil.org"), 300, /Invalid value of header 'X-A'/],
    ["header value with LF", header("X-A", "b\nBcc: e@evil.org"), 300, /Invalid value/],
    ["header value with CR", header("X-A", "b\rc"), 300, /Invalid value/],
    ["header value with NUL", header("X-A", "b\0c"), 300, /Invalid value/],
    ["header value with U+0085", header("X-A", "b\u0085c"), 300, /Invalid value/],
    ["header value with U+2028", header("X-A", "b\u2028c"), 300, /Invalid value/],
    [
      "251 headers",
      { Headers: Array.from({ length: 251 }, () => ({ Name: "X-A", Value: "b" })) },
      300,
      /250 headers/,
    ],
    ["headers of 100 KB", header("X-A", "b".repeat(100_001)), 300, /100000 characters/],
    ["attachment without name", attach({ Name: "" }), 300, /'Name' is required/],
    ["attachment name with a line break", attach({ Name: "a\r\nb.txt" }), 300, /Invalid attachment name/],
    ["attachment without content", attach({ Content: null }), 300, /'Content' is required/],
    ["attachment that is not base64", attach({ Content: "a b?" }), 300, /must be base64/],
    ["attachment whose base64 is cut", attach({ Content: "aGVsb" }), 300, /must be base64/],
    ["attachment with padding in the middle", attach({ Content: "aG==bG8=" }), 300, /must be base64/],
    ["attachment whose id breaks a line", attach({ ContentID: "a\r\nb" }), 300, /'ContentID'/],
    ["attachment whose id has brackets", attach({ ContentID: "a<b" }), 300, /'ContentID'/],
    [
      "501 attachments",
      { Attachments: Array.from({ length: 501 }, () => ATTACHMENT) },
      300,
      /500 attachments/,
    ],
    ["extension in upper case", attach({ Name: "A.EXE" }), 411, /'\.exe'/],
    ["extension with a dot behind", attach({ Name: "a.exe. " }), 411, /'\.exe'/],
    ["second extension", attach({ Name: "a.pdf.exe" }), 411, /'\.exe'/],
    [
      "stream unknown",
      { MessageStream: "unknown-stream" },
      1235,
      "The stream provided: 'unknown-stream' does not exist on this server.",
    ],
    ["stream inbound", { MessageStream: "inbound" }, 1236, /inbound/],
    ["stream archived", { MessageStream: "old" }, 1236, /archived/],
  ])("%s", (_name, change, code, message) => {
    const result = read(change);
    expect(result).toMatchObject({ error: { code } });
    if (!("error" in result)) return;
    if (typeof message === "string") expect(result.error.message).toBe(message);
    else expect(result.error.message).toMatch(message);
  });

  it.each(FORBIDDEN.split(" "))("for an attachment with extension %s", (extension) => {
    expect(read(attach({ Name: `file.${extension}` }))).toMatchObject({ error: { code: 411 } });
  });

  it.each<[string, unknown]>([
    ["From", 5],
    ["From", { Email: "a@example.com" }],
    ["To", ["b@far.org"]],
    ["To", true],
    ["Cc", 1],
    ["Bcc", {}],
    ["ReplyTo", []],
    ["Subject", 7],
    ["HtmlBody", []],
    ["TextBody", false],
    ["Tag", 5],
    ["Headers", {}],
    ["Headers", "X: y"],
    ["Headers", [null]],
    ["Headers", [{ Name: "X-A", Value: {} }]],
    ["TrackOpens", "yes please"],
    ["TrackOpens", 2],
    ["TrackLinks", "Everything"],
    ["TrackLinks", true],
    ["Metadata", "a=b"],
    ["Metadata", ["a"]],
    ["Attachments", {}],
    ["Attachments", ["a.txt"]],
    ["Attachments", [{ Name: 1, Content: "" }]],
    ["MessageStream", 5],
  ])("with code 403 when %s is %j", (field, value) => {
    expect(read({ [field]: value })).toMatchObject({
      error: { code: 403, message: `Invalid request field(s): '${field}'.` },
    });
  });

  it("with the names of all fields of a wrong type", () => {
    expect(read({ From: 1, Tag: [] })).toMatchObject({
      error: { message: "Invalid request field(s): 'From', 'Tag'." },
    });
  });
});

/** Each of these has the errors of all those after it as well: the first rule that is broken answers. */
describe("rules are checked in order", () => {
  const broken: [string, Record<string, unknown>, number, RegExp][] = [
    ["types", { Tag: 5 }, 403, /Tag/],
    ["stream", { MessageStream: "none" }, 1235, /stream/],
    ["From", { From: "x" }, 300, /'From' address/],
    ["To", { To: "x" }, 300, /'To' address/],
    ["Cc", { Cc: "x" }, 300, /'Cc'/],
    ["Bcc", { Bcc: "x" }, 300, /'Bcc'/],
    ["ReplyTo", { ReplyTo: "x" }, 300, /'Reply-To'/],
    ["recipient count", { Cc: many(51) }, 300, /Too many recipients/],
    ["body", { TextBody: "" }, 300, /TextBody/],
    ["lengths", { Subject: "s".repeat(2001) }, 300, /Subject/],
    ["metadata", { Metadata: { "": "" } }, 300, /metadata/],
    ["headers", header("", ""), 300, /header/],
    ["attachments", attach({ Name: "a.exe" }), 411, /exe/],
    ["sender", { From: "a@other.org" }, 400, /Sender Signature/],
  ];
  it.each(broken.map(([name, , code, message], i) => [name, i, code, message] as const))(
    "%s",
    (_name, i, code, message) => {
      const all = Object.assign(
        {},
        ...broken
          .slice(i)
          .map(([, change]) => change)
          .reverse(),
      );
      const result = read(all);
      expect(result).toMatchObject({ error: { code, message: expect.stringMatching(message) } });
    },
  );
});
