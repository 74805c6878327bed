import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { addDomain } from "../../src/accounts/domains.ts";
import { loadPolicy } from "../../src/accounts/policy.ts";
import type { SystemMessage } from "../../src/accounts/system-message.ts";
import { confirmRoutes } from "../../src/api/confirm.ts";
import { senderEndpoints } from "../../src/api/senders.ts";
import { openSettings, type Settings } from "./settings.ts";

const DAY_MS = 86_400_000;
let s: Settings;
let page: ReturnType<typeof confirmRoutes>;
let made = 0;
const sent: SystemMessage[] = [];
/** What the gate for mail says. */
let gate: "accepted" | "inactive" | "away" = "accepted";

beforeAll(async () => {
  s = await openSettings(senderEndpoints, () => ({
    async sendSystemMessage(message: SystemMessage) {
      if (gate === "away") throw new Error("the gate is away");
      if (gate === "accepted") sent.push(message);
      return gate;
    },
  }));
  page = confirmRoutes(s.needs);
});
beforeEach(() => {
  gate = "accepted";
  sent.length = 0;
  s.changed.accounts.length = 0;
});
afterAll(() => s.dispose());

async function newSender(more: object = {}) {
  const FromEmail = `joe${++made}@mine.example`;
  const { status, json } = await s.call("POST", "/senders", { FromEmail, Name: "Joe", ...more });
  expect([status, json.ErrorCode]).toEqual([200, undefined]);
  return json;
}

const get = async (id: unknown) => (await s.call("GET", `/senders/${id}`)).json;
const total = async (of = "senders") =>
  (await s.db.directory.prepare(`SELECT count(*) AS n FROM ${of}`).first("n")) as number;
const linkOf = (message: SystemMessage | undefined) => {
  const link = /https:\/\/edgepost\.example\.com(\/confirm\?token=\S+)/.exec(message?.text ?? "")?.[1];
  if (!link) throw new Error("no link in the message");
  return link;
};
const press = (link: string) => page.request(link, { method: "POST" });

describe("a new signature", () => {
  it("is not confirmed, shows its domain's records, and its mailbox is asked", async () => {
    const sender = await newSender({
      FromEmail: "Jane@New.example",
      ReplyToEmail: "reply@other.example",
      ReturnPathDomain: "pm.new.example",
      ConfirmationPersonalNote: "Please <b>do</b>\n& thanks",
    });
    expect(sender).toMatchObject({
      ID: expect.any(Number),
      Domain: "new.example",
      EmailAddress: "jane@new.example",
      ReplyToEmailAddress: "reply@other.example",
      Name: "Joe",
      Confirmed: false,
      ConfirmationPersonalNote: "Please <b>do</b>\n& thanks",
      SPFVerified: true,
      SPFHost: "new.example",
      DKIMVerified: false,
      DKIMHost: "",
      DKIMPendingHost: expect.stringMatching(/pm\._domainkey\.new\.example$/),
      DKIMUpdateStatus: "Pending",
      ReturnPathDomain: "pm.new.example",
      ReturnPathDomainVerified: false,
      CustomTrackingVerified: false,
    });
    expect(Object.values(sender)).not.toContain(null);
    expect(await get(sender.ID)).toEqual(sender);
    expect(s.changed.accounts).toEqual([s.ours.accountId]);
    const [message] = sent;
    expect(message?.to).toBe("jane@new.example");
    expect(message?.text).toContain("> Please <b>do</b>\n> & thanks");
    expect(message?.html).toContain("Please &lt;b&gt;do&lt;/b&gt;");
    expect(message?.html).toContain(linkOf(message));
  });

  it("keeps of its link only a hash", async () => {
    const { ID } = await newSender();
    const secret = linkOf(sent[0]).split(".").at(-1) ?? "";
    expect(Buffer.from(secret, "base64url")).toHaveLength(32);
    const row = await s.db.directory.prepare("SELECT * FROM senders WHERE id = ?").bind(ID).first();
    expect(JSON.stringify(row)).not.toContain(secret);
  });

  it("leaves a domain that is there as it is", async () => {
    const domain = await addDomain(
      s.db.directory,
      { accountId: s.ours.accountId, name: "there.example" },
      { deploymentSecret: s.needs.deploymentSecret, now: s.clock.now },
    );
    const sender = await newSender({ FromEmail: "a@there.example" });
    expect(sender.DKIMPendingHost).toContain(domain?.keys[0]?.selector);
  });

  it.each([
    [520, {}],
    [520, ""],
    [520, { FromEmail: "a@fields.example" }],
    [520, { FromEmail: "a@fields.example", Name: " " }],
    [520, { Name: "Joe" }],
    [521, { FromEmail: "a@fields.example", Name: "x".repeat(256) }],
    [521, { FromEmail: "a@fields.example", Name: "Joe", ConfirmationPersonalNote: "x".repeat(401) }],
    [
      521,
      { FromEmail: "a@fields.example", Name: "Joe", ReturnPathDomain: `${"a.".repeat(130)}fields.example` },
    ],
    [522, { FromEmail: "nobody", Name: "Joe" }],
    [522, { FromEmail: "a@fields.example, b@fields.example", Name: "Joe" }],
    [522, { FromEmail: "a@localhost", Name: "Joe" }],
    [522, { FromEmail: "a@fields.example", Name: "Joe\r\nBcc: x@y.example" }],
    [522, { FromEmail: "a@fields.example", Name: "Joe", ReplyToEmail: "nobody" }],
    [522, { FromEmail: "a@fields.example", Name: "Joe", ReturnPathDomain: "pm.other.example" }],
    [503, { FromEmail: "joe@Gmail.com", Name: "Joe" }],
    [403, { FromEmail: 7, Name: "Joe" }],
    [403, { FromEmail: "a@fields.example", Name: { a: 1 } }],
    [402, "[]"],
  ])("is refused with %i: %j", async (code, body) => {
    const before = [await total(), await total("domains")];
    const { status, json } = await s.call("POST", "/senders", body);
    expect([status, json.ErrorCode]).toEqual([422, code]);
    expect([await total(), await total("domains")]).toEqual(before);
    expect(sent).toEqual([]);
  });

  it("is refused with 504 when it is there, in any case, but not for another account", async () => {
    const { EmailAddress } = await newSender();
    const again = { FromEmail: (EmailAddress as string).toUpperCase(), Name: "Joe" };
    expect((await s.call("POST", "/senders", again)).json.ErrorCode).toBe(504);
    expect((await s.call("POST", "/senders", again, s.theirs)).status).toBe(200);
  });

  it("changes nothing of a domain that is there when its mailbox cannot be asked", async () => {
    const first = await newSender({ FromEmail: "a@kept.example", ReturnPathDomain: "pm.kept.example" });
    gate = "away";
    const second = { FromEmail: "b@kept.example", Name: "B", ReturnPathDomain: "other.kept.example" };
    expect((await s.call("POST", "/senders", second)).status).toBe(503);
    expect(await get(first.ID)).toEqual(first);
    gate = "accepted";
    expect((await s.call("POST", "/senders", second)).json.ReturnPathDomain).toBe("other.kept.example");
  });

  it.each([
    ["inactive", 422, 406],
    ["away", 503, 100],
  ] as const)("is not made when its mailbox cannot be asked: %s", async (state, status, code) => {
    gate = state;
    const before = [await total(), await total("domains"), await total("dkim_keys")];
    const body = { FromEmail: "a@unasked.example", Name: "Joe" };
    const answer = await s.call("POST", "/senders", body);
    expect([answer.status, answer.json.ErrorCode]).toEqual([status, code]);
    expect([await total(), await total("domains"), await total("dkim_keys")]).toEqual(before);
  });
});

describe("the link", () => {
  it("asks, and only its button confirms", async () => {
    const { ID, EmailAddress } = await newSender();
    const link = linkOf(sent[0]);
    const shown = await page.request(link);
    expect(shown.status).toBe(200);
    expect(shown.headers.get("Content-Type")).toContain("text/html");
    expect(shown.headers.get("Referrer-Policy")).toBe("no-referrer");
    const text = await shown.text();
    expect(text).toContain('<form method="post">');
    expect(text).toContain(EmailAddress);
    expect((await get(ID)).Confirmed).toBe(false);

    s.changed.accounts.length = 0;
    const pressed = await press(link);
    expect([pressed.status, await pressed.text()]).toEqual([200, expect.stringContaining("is confirmed")]);
    expect((await get(ID)).Confirmed).toBe(true);
    expect(s.changed.accounts).toEqual([s.ours.accountId]);
    const policy = await loadPolicy(s.db.directory, s.ours.serverId);
    expect(policy?.senders).toContainEqual(expect.objectContaining({ email: EmailAddress, confirmed: true }));
    // Again, by an impatient finger or a second visit.
    expect(await (await press(link)).text()).toContain("is confirmed");
    expect(await (await page.request(link)).text()).toContain("is confirmed");
  });

  it("shows an account's name as text", async () => {
    await s.db.directory.prepare("UPDATE accounts SET name = '<script>x'").run();
    await newSender();
    expect(await (await page.request(linkOf(sent[0]))).text()).toContain("&lt;script&gt;x");
  });

  it("works for a week", async () => {
    const { ID } = await newSender();
    const link = linkOf(sent[0]);
    s.clock.now += 7 * DAY_MS;
    expect((await page.request(link)).status).toBe(410);
    expect((await press(link)).status).toBe(303);
    expect((await get(ID)).Confirmed).toBe(false);
    s.clock.now -= 1;
    expect((await press(link)).status).toBe(200);
    expect((await get(ID)).Confirmed).toBe(true);
  });

  it("of a later message takes its place", async () => {
    const { ID, EmailAddress } = await newSender();
    s.clock.now += 60_000;
    const resent = await s.call("POST", `/senders/${ID}/resend`);
    expect(resent.json).toEqual({
      ErrorCode: 0,
      Message: `Confirmation email for Sender Signature ${EmailAddress} was re-sent.`,
    });
    const [first, second] = sent.map(linkOf);
    expect((await page.request(first ?? "")).status).toBe(404);
    await press(first ?? "");
    expect((await get(ID)).Confirmed).toBe(false);
    await press(second ?? "");
    expect((await get(ID)).Confirmed).toBe(true);
    expect((await s.call("POST", `/senders/${ID}/resend`)).json.ErrorCode).toBe(506);
  });

  it("confirms nothing with another signature's secret, or with none", async () => {
    const [one, two] = [await newSender(), await newSender()];
    const [, secret] = linkOf(sent[0]).split(".");
    for (const link of [
      `/confirm?token=${two.ID}.${secret}`,
      "/confirm",
      "/confirm?token=%00",
      `/confirm?token=${one.ID}.`,
    ]) {
      expect((await page.request(link)).status).toBe(404);
      expect((await press(link)).status).toBe(303);
    }
    expect((await get(one.ID)).Confirmed).toBe(false);
    expect((await get(two.ID)).Confirmed).toBe(false);
  });

  it("is not sent again while the gate is away, or to who gets no mail", async () => {
    const { ID } = await newSender();
    s.clock.now += 60_000;
    gate = "away";
    expect((await s.call("POST", `/senders/${ID}/resend`)).status).toBe(503);
    gate = "inactive";
    expect((await s.call("POST", `/senders/${ID}/resend`)).json.ErrorCode).toBe(406);
    // Neither was a message, so nothing is to be waited for.
    gate = "accepted";
    expect((await s.call("POST", `/senders/${ID}/resend`)).status).toBe(200);
  });

  it("is asked for again at once, then once a minute, and five times a day", async () => {
    const { ID } = await newSender();
    const resend = () => s.call("POST", `/senders/${ID}/resend`);
    expect((await resend()).status).toBe(200);
    expect(await resend()).toMatchObject({ status: 429, json: { ErrorCode: 429 } });
    for (let asked = 2; asked < 5; asked++) {
      s.clock.now += 60_000;
      expect((await resend()).status).toBe(200);
    }
    s.clock.now += 60_000;
    expect((await resend()).status).toBe(429);
    expect(sent).toHaveLength(5);
    // The first two of the five are a day ago, and the others in a minute or more.
    s.clock.now += DAY_MS - 4 * 60_000;
    const both = await Promise.all([resend(), resend()]);
    expect(both.map((answer) => answer.status).sort()).toEqual([200, 429]);
    expect(sent).toHaveLength(6);
  });
});

describe("a signature", () => {
  it("changes what is given and nothing else", async () => {
    const sender = await newSender({ ReplyToEmail: "r@mine.example", ConfirmationPersonalNote: "note" });
    const named = await s.call("PUT", `/senders/${sender.ID}`, { name: "Jane", ReplyToEmail: null });
    expect(named.json).toEqual({ ...sender, Name: "Jane" });
    const more = {
      ReplyToEmail: "",
      ReturnPathDomain: "pm2.mine.example",
      ConfirmationPersonalNote: "",
    };
    const { json } = await s.call("PUT", `/senders/${sender.ID}`, more);
    expect(json).toMatchObject({
      Name: "Jane",
      ReplyToEmailAddress: "",
      ReturnPathDomain: "pm2.mine.example",
      ConfirmationPersonalNote: "",
    });
    expect(s.changed.accounts).toContain(s.ours.accountId);
    await s.call("PUT", `/senders/${sender.ID}`, { ReturnPathDomain: "" });
    expect((await get(sender.ID)).ReturnPathDomain).toBe("");
  });

  it.each([
    [502, ""],
    [502, {}],
    [502, { FromEmail: "other@mine.example" }],
    [520, { Name: "" }],
    [521, { ConfirmationPersonalNote: "x".repeat(401) }],
    [522, { ReplyToEmail: "nobody" }],
    [522, { ReturnPathDomain: "pm.other.example" }],
    [403, { Name: 5 }],
  ])("is not changed, with %i: %j", async (code, body) => {
    const sender = await newSender();
    const { status, json } = await s.call("PUT", `/senders/${sender.ID}`, body);
    expect([status, json.ErrorCode]).toEqual([422, code]);
    expect(await get(sender.ID)).toEqual(sender);
  });

  it("is deleted, and a domain that nobody asked for goes with the last one", async () => {
    const [a, b] = [
      await newSender({ FromEmail: "a@implied.example" }),
      await newSender({ FromEmail: "b@implied.example" }),
    ];
    const there = async () =>
      await s.db.directory
        .prepare(
          `SELECT (SELECT count(*) FROM domains WHERE name = 'implied.example') AS domains,
             (SELECT count(*) FROM dkim_keys WHERE selector = ?) AS keys`,
        )
        .bind(String(a.DKIMPendingHost).split(".")[0])
        .first();
    const gone = await s.call("DELETE", `/senders/${a.ID}`);
    expect(gone.json).toEqual({ ErrorCode: 0, Message: "Signature a@implied.example removed." });
    expect((await s.call("GET", `/senders/${a.ID}`)).json.ErrorCode).toBe(501);
    expect(await there()).toEqual({ domains: 1, keys: 1 });
    await s.call("DELETE", `/senders/${b.ID}`);
    expect(await there()).toEqual({ domains: 0, keys: 0 });
  });

  it("leaves a domain that was asked for when it is deleted", async () => {
    const { ID } = await newSender({ FromEmail: "a@asked.example" });
    const domain = { accountId: s.ours.accountId, name: "asked.example" };
    const secrets = { deploymentSecret: "s", now: s.clock.now };
    expect(await addDomain(s.db.directory, domain, secrets)).toMatchObject({ implied: false });
    expect(await addDomain(s.db.directory, domain, secrets)).toBeUndefined();
    await s.call("DELETE", `/senders/${ID}`);
    const left = "SELECT id FROM domains WHERE name = 'asked.example'";
    expect(await s.db.directory.prepare(left).first("id")).toEqual(expect.any(Number));
  });

  it("has an SPF that is verified, and keys that are being renewed from the beginning", async () => {
    const sender = await newSender();
    expect((await s.call("POST", `/senders/${sender.ID}/verifySpf`)).json).toEqual(sender);
    expect((await s.call("POST", `/senders/${sender.ID}/requestNewDkim`)).json).toEqual({
      ErrorCode: 505,
      Message: "This DKIM is already being renewed.",
    });
    await s.db.directory.prepare("UPDATE dkim_keys SET state = 'active'").run();
    const renewed = (await s.call("POST", `/senders/${sender.ID}/requestNewDkim`)).json;
    expect(renewed).toMatchObject({ DKIMUpdateStatus: "Pending", DKIMHost: sender.DKIMPendingHost });
    expect(renewed.DKIMPendingHost).not.toBe(sender.DKIMPendingHost);
  });

  it.each([
    ["GET", ""],
    ["PUT", ""],
    ["DELETE", ""],
    ["POST", "/resend"],
    ["POST", "/verifyspf"],
    ["POST", "/requestnewdkim"],
  ])("is not there for others, nor when its number is none: %s %s", async (method, path) => {
    const sender = await newSender();
    for (const [id, as] of [
      [sender.ID, s.theirs],
      [987_654, s.ours],
      ["0x1", s.ours],
      ["9".repeat(30), s.ours],
    ] as const) {
      const body = method === "GET" ? undefined : { Name: "Other" };
      const { status, json } = await s.call(method, `/senders/${id}${path}`, body, as);
      expect([id, status, json.ErrorCode]).toEqual([id, 422, 501]);
    }
    const wrong = { serverToken: s.ours.serverToken };
    expect((await s.call(method, `/senders/${sender.ID}${path}`, undefined, wrong)).status).toBe(401);
    expect(await get(sender.ID)).toEqual(sender);
    expect(sent).toHaveLength(1);
  });
});

describe("the list of signatures", () => {
  it("is by address, page by page and behind a cursor", async () => {
    const whole = (await s.call("GET", "/senders/?count=500&offset=0")).json as {
      TotalCount: number;
      SenderSignatures: { EmailAddress: string }[];
    };
    const addresses = whole.SenderSignatures.map((x) => x.EmailAddress);
    expect(whole.TotalCount).toBe(addresses.length);
    expect(addresses).toEqual(addresses.toSorted());
    expect(whole.SenderSignatures[0]).toEqual({
      Domain: expect.any(String),
      EmailAddress: expect.any(String),
      ReplyToEmailAddress: expect.any(String),
      Name: expect.any(String),
      Confirmed: expect.any(Boolean),
      ID: expect.any(Number),
    });
    const seen: string[] = [];
    for (let cursor: unknown = ""; cursor !== undefined; ) {
      const { json } = await s.call("GET", `/senders?count=7&cursor=${cursor}`);
      seen.push(...(json.SenderSignatures as { EmailAddress: string }[]).map((x) => x.EmailAddress));
      cursor = json.NextCursor;
    }
    expect(seen).toEqual(addresses);
  });

  it.each(["count=-1", "count=501", "offset=-1", "count=x", "count=500&offset=9501", "cursor=x"])(
    "is refused with %s",
    async (query) => {
      expect((await s.call("GET", `/senders?${query}`)).json.ErrorCode).toBe(500);
    },
  );
});
