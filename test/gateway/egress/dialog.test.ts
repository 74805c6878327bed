/** What goes over the wire, and what is made of each answer: catalogue D2 to D6 and D12. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { GatewayProcess, MESSAGE } from "../gateway-process.ts";
import { type Script, ScriptedMx, type Session } from "../scripted-mx.ts";
import { TestDns } from "../test-dns.ts";

let dns: TestDns;
let mx: ScriptedMx;
let gateway: GatewayProcess;
const TIMEOUTS = {
  connect: 2_000,
  greeting: 400,
  command: 400,
  data: 400,
  block: 400,
  afterDot: 700,
  idle: 300,
};

beforeAll(async () => {
  dns = await new TestDns().listen();
  dns.domain("good.test", [[10, "mx.good.test", "127.0.0.1"]]);
  mx = await new ScriptedMx().listen();
  gateway = await new GatewayProcess(
    { EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port) },
    TIMEOUTS,
  ).start();
});

afterAll(async () => {
  await gateway.end();
  await mx.stop();
  dns.stop();
});

beforeEach(() => play({}));

/** Connections of one test are not those of the next. */
afterEach(async () => {
  while (mx.open > 0) await new Promise((done) => setTimeout(done, 20));
});

function play(script: Script): void {
  mx.script = script;
  for (const list of [mx.said, mx.taken, mx.chunks]) list.length = 0;
  mx.sessions = 0;
  mx.mostOpen = 0;
}

/** Answers commands that begin so, and leaves the others as they are. */
function answer(answers: Record<string, string>): Script["on"] {
  return (what) => Object.entries(answers).find(([begin]) => what.startsWith(begin))?.[1];
}

describe("the bytes", () => {
  it.each([
    ["plain", MESSAGE],
    ["dots at the start, alone, and doubled", ".a\r\n.\r\n..\r\n...b\r\nc.\r\n"],
    ["a dot as the whole message", ".\r\n"],
    ["no line end at the end", "Subject: x\r\n\r\nno end"],
    ["a dot at the very end", "Subject: x\r\n\r\n."],
    ["long lines", `Subject: x\r\n\r\n${"y".repeat(5_000)}\r\n`],
    ["two megabytes, with dots", `Subject: x\r\n\r\n${".line\r\nplain line of text\r\n".repeat(80_000)}`],
    ["NUL and tab", "Subject: x\r\n\r\na\0b\tc\r\n"],
  ])("arrive as they were given: %s", async (_, message) => {
    const outcome = await gateway.sendOne("a@good.test", {}, message);
    expect(outcome).toMatchObject({
      result: "delivered",
      reply: { code: 250, enhanced: "2.0.0", text: "taken" },
    });
    const expected = message.endsWith("\r\n") ? message : `${message}\r\n`;
    expect(mx.taken.map((t) => t.data.toString("latin1"))).toEqual([expected]);
  });

  it("keeps 8-bit content and says so", async () => {
    const message = Buffer.from("Subject: x\r\n\r\ngrüße\r\n");
    await gateway.sendOne("a@good.test", {}, message);
    expect(mx.taken[0]?.data.equals(message)).toBe(true);
    expect(mx.said.find((line) => line.startsWith("MAIL"))).toBe(
      `MAIL FROM:<b-1@bounces.example.com> SIZE=${message.length} BODY=8BITMIME`,
    );
  });

  it("refuses a lone CR or LF rather than carrying a smuggled message", async () => {
    for (const body of ["a\n.\nb\r\n", "a\r.\rb\r\n", "a\r\n.\nb\r\n", "a\n", "a\r"]) {
      const outcome = await gateway.sendOne("a@good.test", {}, `Subject: x\r\n\r\n${body}`);
      expect(outcome).toMatchObject({ result: "bounced", reply: { code: 0, enhanced: "5.6.0" } });
    }
    expect(mx.said).not.toContain("DATA");
  });
});

describe("the envelope", () => {
  it("sends all commands of an envelope at once where the server allows it, and one by one elsewhere", async () => {
    await gateway.sendOne("a@good.test");
    expect(mx.chunks).toContainEqual(expect.stringMatching(/^MAIL .*\r\nRCPT .*\r\nDATA\r\n$/));
    play({ extensions: ["SIZE 1000000"] });
    await new Promise((done) => setTimeout(done, 400));
    await gateway.sendOne("a@good.test");
    expect(mx.chunks).toContainEqual(expect.stringMatching(/^MAIL .*\r\n$/));
    expect(mx.taken.length).toBe(1);
  });

  it("gives each recipient its own outcome and the message to those that were taken", async () => {
    const recipients = ["ok@good.test", "later@good.test", "never@good.test", "also@good.test"];
    for (const extensions of [["PIPELINING"], []]) {
      play({
        extensions,
        on: answer({ "RCPT TO:<later@": "450 4.2.1 busy", "RCPT TO:<never@": "550 5.1.1 no such user" }),
      });
      const [result] = await gateway.send([{ recipients }, MESSAGE]);
      expect(result?.outcomes.map((o) => [o.recipient, o.result, o.reply.code, o.concerns])).toEqual([
        ["ok@good.test", "delivered", 250, "recipient"],
        ["later@good.test", "deferred", 450, "recipient"],
        ["never@good.test", "bounced", 550, "recipient"],
        ["also@good.test", "delivered", 250, "recipient"],
      ]);
      expect(mx.taken.map((t) => t.to)).toEqual([["ok@good.test", "also@good.test"]]);
      // Who reads of one recipient does not learn of the others.
      const seen = JSON.stringify(result?.outcomes[2]?.transcript);
      expect(seen).toContain("never@good.test");
      expect(seen).not.toContain("also@good.test");
      await new Promise((done) => setTimeout(done, 400));
    }
  });

  it("sends nothing when nobody is taken, even where DATA went along and was taken", async () => {
    play({ on: answer({ RCPT: "550 5.1.1 no such user" }) });
    const first = await gateway.sendOne("a@good.test");
    expect(first).toMatchObject({ result: "bounced", reply: { enhanced: "5.1.1" } });
    expect(mx.taken.map((t) => t.data.length)).toEqual([0]);
    // The same connection goes on, after RSET.
    play({});
    expect(await gateway.sendOne("b@good.test")).toMatchObject({ result: "delivered" });
    expect(mx.said).toContain("RSET");
    expect(mx.taken.map((t) => t.to)).toEqual([["b@good.test"]]);
  });

  it("speaks HELO to a server that knows no EHLO", async () => {
    play({ on: answer({ EHLO: "502 5.5.1 not implemented" }) });
    expect(await gateway.sendOne("a@good.test")).toMatchObject({ result: "delivered" });
    expect(mx.said).toContain("HELO gateway.test");
    expect(mx.said).toContain("MAIL FROM:<b-1@bounces.example.com>");
  });

  it("uses the null reverse-path, and never lets an address become a command", async () => {
    await gateway.sendOne("a@good.test", { reversePath: "" });
    expect(mx.said.find((line) => line.startsWith("MAIL"))).toMatch(/^MAIL FROM:<> /);
    for (const evil of ["a@good.test>\r\nRCPT TO:<x@y.test", "a\n@good.test", "a>@good.test"])
      expect(await gateway.sendOne(evil, { domain: "good.test" })).toMatchObject({
        result: "bounced",
        reply: { enhanced: "5.1.3" },
      });
    expect(mx.said.filter((line) => line.includes("x@y.test"))).toEqual([]);
  });
});

describe("what the server can't do", () => {
  it("does not offer what is larger than it takes", async () => {
    play({ extensions: ["SIZE 10"] });
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({
      result: "bounced",
      concerns: "recipient",
      reply: { code: 0, enhanced: "5.3.4" },
    });
    expect(mx.said).not.toContain("DATA");
  });

  it("does not send 8-bit content or international addresses to a server without them", async () => {
    play({ extensions: ["PIPELINING"] });
    const eight = await gateway.sendOne("a@good.test", {}, "Subject: x\r\n\r\ngrüße\r\n");
    expect(eight).toMatchObject({ result: "bounced", reply: { enhanced: "5.6.3" } });
    const international = await gateway.sendOne("ü@good.test");
    expect(international).toMatchObject({ result: "bounced", reply: { enhanced: "5.6.7" } });
    expect(mx.taken).toEqual([]);
  });

  it("says SMTPUTF8 where it is known", async () => {
    expect(await gateway.sendOne("ü@good.test")).toMatchObject({ result: "delivered" });
    expect(mx.said.find((line) => line.startsWith("MAIL"))).toMatch(/ SMTPUTF8$/);
  });
});

describe("refusals", () => {
  it.each([
    ["(connect)", "554 5.7.1 your network is on our block list", "deferred", "destination", 554],
    ["(connect)", "421 4.3.2 busy", "deferred", "destination", 421],
    ["EHLO", "421 4.7.0 go away", "deferred", "destination", 421],
    ["MAIL", "451 4.7.1 rate limit", "deferred", "destination", 451],
    ["MAIL", "550 5.7.1 SPF", "bounced", "destination", 550],
    ["RCPT", "452 4.2.2 mailbox full", "deferred", "recipient", 452],
    ["RCPT", "550 5.1.1 unknown", "bounced", "recipient", 550],
    ["RCPT", "552 5.5.3 too many recipients", "deferred", "recipient", 552],
    ["DATA", "451 4.3.0 try later", "deferred", "destination", 451],
    ["DATA", "554 5.5.1 no valid recipients", "bounced", "recipient", 554],
    ["DATA", "250 2.0.0 what?", "deferred", "destination", 250],
    ["(message)", "550 5.7.1 spam", "bounced", "destination", 550],
    ["(message)", "452 4.3.1 disk full", "deferred", "destination", 452],
    ["(message)", "354 go on", "deferred", "destination", 354],
  ])("at %s: %s", async (stage, reply, result, concerns, code) => {
    play({ on: answer({ [stage]: reply }) });
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({ result, concerns, uncertain: false, reply: { code } });
  });

  it("stops at 421 for what was not answered, and does not repeat what was", async () => {
    play({
      on: (what, session) => {
        if (what.startsWith("MAIL") && session.number === 1 && session.count === 3) return "421 4.7.0 enough";
        return undefined;
      },
    });
    for (let i = 0; i < 5; i++)
      expect(await gateway.sendOne(`${i}@good.test`)).toMatchObject({ result: "delivered" });
    expect(mx.taken.map((t) => t.to[0])).toEqual([0, 1, 2, 3, 4].map((i) => `${i}@good.test`));
    expect(mx.sessions).toBe(2);
  });

  it("takes a refusal in the middle of a long message for what it is", async () => {
    play({
      on: (what) =>
        what === "(data)" ? (s: Session) => void s.socket.write("552 5.3.4 too big\r\n") : undefined,
    });
    const long = `Subject: x\r\n\r\n${"line of text\r\n".repeat(500_000)}`;
    const outcome = await gateway.sendOne("a@good.test", {}, long);
    expect(outcome).toMatchObject({
      result: "bounced",
      uncertain: false,
      reply: { code: 552, enhanced: "5.3.4" },
    });
  });
});

describe("connections that are lost", () => {
  it.each(["close", "reset"] as const)("in the middle of a long message: a later try (%s)", async (act) => {
    play({ on: (what) => (what === "(data)" ? act : undefined) });
    const long = `Subject: x\r\n\r\n${"line of text\r\n".repeat(1_000_000)}`;
    const outcome = await gateway.sendOne("a@good.test", {}, long);
    expect(outcome).toMatchObject({ result: "deferred", concerns: "destination", uncertain: false });
    expect(outcome.reason).toMatch(/^lost at message: /);
  });

  it.each(["close", "reset"] as const)("after the final dot: uncertain (%s)", async (act) => {
    play({ on: (what) => (what === "(message)" ? act : undefined) });
    const before = await gateway.metric("edgepost_egress_uncertain_total");
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({
      result: "deferred",
      uncertain: true,
      reply: { code: 0, enhanced: "4.4.2" },
    });
    expect(outcome.reason).toMatch(/^no reply to the final dot: /);
    // It may have been taken: nobody else is asked in this attempt.
    expect(mx.sessions).toBe(1);
    expect(await gateway.metric("edgepost_egress_uncertain_total")).toBe(before + 1);
  });

  it("no reply to the final dot in its time: uncertain", async () => {
    play({ on: answer({ "(message)": "silent" }) });
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({ result: "deferred", uncertain: true });
    expect(outcome.reason).toBe("no reply to the final dot: no reply in 700 ms");
  });

  it.each(["(connect)", "EHLO", "MAIL", "RCPT", "DATA"])("no reply at %s: a later try", async (stage) => {
    // Sent along, a command would be answered by what is the answer to the next.
    play({ extensions: ["8BITMIME"], on: answer({ [stage]: "silent" }) });
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({ result: "deferred", concerns: "destination", uncertain: false });
    expect(outcome.reason).toContain("no reply in 400 ms");
    expect(mx.taken).toEqual([]);
  });

  it("sends over a new connection what a kept one could not take any more", async () => {
    expect(await gateway.sendOne("a@good.test")).toMatchObject({ result: "delivered" });
    play({ on: (what, session) => (what.startsWith("MAIL") && session.count === 1 ? "close" : undefined) });
    expect(await gateway.sendOne("b@good.test")).toMatchObject({ result: "delivered" });
    expect(mx.taken.map((t) => t.to)).toEqual([["b@good.test"]]);
  });
});

describe("servers that are none", () => {
  it.each([
    ["HTTP", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"],
    ["a reply without end", `220-${"x".repeat(1_000_000)}`],
    ["ten thousand lines", "220-more\r\n".repeat(10_000)],
    ["bytes", "\0\x01\x02\xff\r\n"],
  ])("%s: a later try", async (_, garbage) => {
    play({ on: (what) => (what === "(connect)" ? (s: Session) => void s.socket.write(garbage) : undefined) });
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({ result: "deferred", concerns: "destination", uncertain: false });
  });

  it("has an end where a flood of replies comes behind the one to STARTTLS: in clear, over another connection", async () => {
    play({
      extensions: ["STARTTLS"],
      on: (what) =>
        what === "STARTTLS"
          ? (s: Session) => void s.socket.write(`220 go on\r\n${"250 ok\r\n".repeat(300)}`)
          : undefined,
    });
    expect(await gateway.sendOne("a@good.test")).toMatchObject({ result: "delivered", hop: { tls: "" } });
    expect(mx.sessions).toBe(2);
  });

  it("has one time for a reply, however slowly it comes", async () => {
    const drip = ({ socket }: Session) => {
      const timer = setInterval(() => socket.write("2"), 50);
      socket.on("close", () => clearInterval(timer));
    };
    play({ on: (what) => (what === "(connect)" ? drip : undefined) });
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome).toMatchObject({ result: "deferred", reason: "no greeting: no reply in 400 ms" });
  });

  it("keeps a reply's text clean and short", async () => {
    play({ on: answer({ "(message)": `550 5.7.1 a\0b\u202ec\x1b[31m ${"long ".repeat(350)}` }) });
    const { reply } = await gateway.sendOne("a@good.test");
    expect(reply.text).toMatch(/^a b c \[31m long long/);
    expect(reply.text.length).toBeLessThanOrEqual(1_000);
  });
});

describe("connections that are kept", () => {
  it("sends one message after another over one connection", async () => {
    const parcels = Array.from({ length: 30 }, (_, i) => [
      { recipients: [`${i}@good.test`], connections: 1 },
      MESSAGE,
    ]);
    const results = await gateway.send(...(parcels as [object, string][]));
    expect(results.length).toBe(30);
    expect(mx.sessions).toBe(1);
    expect(mx.said.filter((line) => line.startsWith("EHLO")).length).toBe(1);
  });

  it("opens as many connections to a domain as it may, over all requests", async () => {
    play({
      on: (what) =>
        what === "(message)" ? (s) => setTimeout(() => s.socket.write("250 ok\r\n"), 30) : undefined,
    });
    const request = () =>
      gateway.send(
        ...Array.from({ length: 12 }, (_, i): [object, string] => [
          { recipients: [`${i}@good.test`], connections: 3 },
          MESSAGE,
        ]),
      );
    const results = (await Promise.all([request(), request()])).flat();
    expect(results.length).toBe(24);
    expect(mx.mostOpen).toBe(3);
  });

  it("gives a connection a rest after a hundred messages, and says QUIT", async () => {
    const parcels = Array.from({ length: 101 }, (_, i): [object, string] => [
      { recipients: [`${i}@good.test`], connections: 1 },
      MESSAGE,
    ]);
    await gateway.send(...parcels);
    expect(mx.sessions).toBe(2);
    expect(mx.said).toContain("QUIT");
  });

  it("says QUIT when nothing more comes", async () => {
    await gateway.sendOne("a@good.test");
    while (mx.open > 0) await new Promise((done) => setTimeout(done, 20));
    expect(mx.said.at(-1)).toBe("QUIT");
  });
});
