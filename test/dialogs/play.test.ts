/** That a dialog fails when it must: the player against a server that says what it is told to say. */
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Accepted, FakeWorker } from "./fake-worker.ts";
import { play } from "./play.ts";
import { matches } from "./reply-pattern.ts";
import { fill, parseScript } from "./script.ts";

const HEAD = "# For the player (RFC 5321).\nport mx\n";
const ID = "01a2109b-7577-8c93-8411-d9048a54df3e";

let server: Server | undefined;
afterEach(() => server?.close());

/** `answers`: to each line, in turn; the connection is closed after the last when it is "". */
async function held(script: string, answers: string[], ledger: Accepted[] = []): Promise<void> {
  const listener = createServer((socket) => {
    const left = [...answers];
    const say = () => {
      const answer = left.shift();
      if (answer === "") socket.end();
      else if (answer) socket.write(answer);
      if (left[0] === "") socket.end();
    };
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      for (const byte of chunk) if (byte === 0x0a) say();
    });
    say();
  });
  server = listener;
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const worker = new FakeWorker();
  worker.ledger.push(...ledger);
  const target = { port, client: "127.0.0.1", localAddress: "127.0.0.1", ca: "", name: "gateway.test" };
  const stage = { target, worker, forwardedMs: 100, restart: async () => {} };
  await play(parseScript("some.smtp", HEAD + script), "mx", undefined, stage);
}

const GREETING = "220 gateway.test ESMTP\r\n";

function submitted(text: string): Accepted {
  const bytes = Buffer.from(
    `Received: from client.test\r\n\tby gateway.test with ESMTPSA id s1;\r\n\tTue, 01 Jan 2030 00:00:00 +0000\r\n${text}`,
    "latin1",
  );
  return {
    serverId: 7,
    bytes,
    message: {
      messageId: ID,
      envelope: { reversePath: "a@example.com", recipients: [{ address: "b@example.net" }] },
      session: "s1",
      remoteAddress: "127.0.0.1",
      length: bytes.length,
    },
  };
}

describe("a dialog", () => {
  it("that went as written passes", async () => {
    await held("C: NOOP\nS: 250 2.0.0 ok\nquit\n", [
      GREETING,
      "250 2.0.0 OK then\r\n",
      "221 2.0.0 bye\r\n",
      "",
    ]);
  });

  it.each([
    ["another code", "C: X\nS: 500\n", ["250 2.0.0 fine\r\n"], "some.smtp:4: expected 500, got 250"],
    ["another enhanced code", "C: X\nS: 500 5.5.1\n", ["500 5.5.2 no\r\n"], "expected 500 5.5.1"],
    [
      "a second reply",
      "C: X\nS: 500\n",
      ["500 5.5.2 no\r\n250 2.0.0 what\r\n"],
      "said beyond the script: 250",
    ],
    ["no reply but an end", "C: X\nS: 500\n", [""], "closed instead of a reply"],
    ["a reply before the end", "C: X\nexpect-close\n", ["421 4.7.0 bye\r\n", ""], "not closed, but: 421"],
    ["a bare LF", "C: X\nS: 500\n", ["500 5.5.2 no\n"], "not a reply"],
    ["a control character", "C: X\nS: 500\n", ["500 5.5.2 \x1b[1m\r\n"], "not a reply"],
    ["a line of 513 octets", "C: X\nS: 500\n", [`500 5.5.2 ${"x".repeat(501)}\r\n`], "a reply line of 513"],
    ["no enhanced code", "C: X\nS: 500\n", ["500 no\r\n"], "no enhanced code that fits"],
    [
      "an enhanced code of another class",
      "C: X\nS: 500\n",
      ["500 4.5.2 no\r\n"],
      "no enhanced code that fits",
    ],
    [
      "two codes in one reply",
      "C: X\nS: 500\n",
      ["500-5.5.2 no\r\n501 5.5.2 no\r\n"],
      "another code in one reply",
    ],
    ["a line more", "C: X\nS: 500\n", ["500-5.5.2 no\r\n500 5.5.2 no\r\n"], "expected 500"],
    ["a message that there is not", "accepted 1\n", [], "0 messages of this session, not 1"],
  ])("fails for %s", { timeout: 60_000 }, async (_, script, answers, why) => {
    await expect(held(script, [GREETING, ...answers])).rejects.toThrow(why);
  });

  const TOLD = 'accepted 1\nfrom <a@example.com>\nto <b@example.net>\nbody "x\\r\\n"\n';
  const SENT = `C: X\nS: 250\n${TOLD}`;
  const QUEUED = [GREETING, `250 2.0.0 OK queued as ${ID}\r\n`];

  it("passes with the message that it tells of", async () => {
    await held(SENT, QUEUED, [submitted("x\r\n")]);
  });

  it.each([
    ["another body", SENT, submitted("y\r\n"), "body: expected"],
    ["a bare LF in it", SENT, submitted("x\r\n\n"), "a bare CR or LF went through"],
    ["another sender", SENT.replace("a@", "c@"), submitted("x\r\n"), "from: expected"],
    ["another recipient", SENT.replace("<b@", "<c@"), submitted("x\r\n"), "to: expected"],
    ["mail of nobody's", `${SENT}inbound\n`, submitted("x\r\n"), "messageId: expected"],
    [
      "a message that it says nothing of",
      "C: X\nS: 250\n",
      submitted("x\r\n"),
      "1 messages of this session, not 0",
    ],
    ["a client's address told", SENT, disclosed(), "the client's address"],
    ["an id that no reply named", SENT, another(), "the replies named"],
  ])("fails for %s", { timeout: 60_000 }, async (_, script, message, why) => {
    await expect(held(script, QUEUED, [message])).rejects.toThrow(why);
  });
});

function disclosed(): Accepted {
  const accepted = submitted("x\r\n");
  const text = accepted.bytes.toString("latin1").replace("client.test", "client.test ([127.0.0.1])");
  return { ...accepted, bytes: Buffer.from(text, "latin1") };
}

function another(): Accepted {
  const accepted = submitted("x\r\n");
  return { ...accepted, message: { ...accepted.message, messageId: ID.replace("01a2", "01a3") } };
}

describe("a reply's pattern", () => {
  it.each<[string[], string[], boolean]>([
    [["250"], ["250 2.1.0 x\r\n"], true],
    [["250"], ["250-2.1.0 x\r\n", "250 2.1.0 x\r\n"], false],
    [["250 2.1.0"], ["250 2.1.05 x\r\n"], false],
    [["5xx 5.*"], ["550 5.1.1 x\r\n"], true],
    [["5xx 5.*"], ["450 4.1.1 x\r\n"], false],
    [["250 2.0.0 ok queued as /[a-f]+$/"], ["250 2.0.0 OK queued as abc\r\n"], true],
    [["250 2.0.0 ok queued as /[a-f]+$/"], ["250 2.0.0 OK queued as xyz\r\n"], false],
    [["250-...", "250"], ["250-a\r\n", "250-b\r\n", "250 c\r\n"], true],
    [["250-...", "250-B", "250-...", "250"], ["250-a\r\n", "250-b\r\n", "250 c\r\n"], true],
    [["250-...", "250-X", "250-...", "250"], ["250-a\r\n", "250-b\r\n", "250 c\r\n"], false],
    [["250-a", "250 c"], ["250-a\r\n", "250-b\r\n", "250 c\r\n"], false],
  ])("%j of %j: %j", (pattern, lines, is) => {
    expect(matches(pattern, lines)).toBe(is);
  });
});

describe("a script", () => {
  it.each([
    ["says where it is written", "# A dialog.\nport mx\nquit\n", "names an RFC or a CVE"],
    ["has a port", "# RFC 5321.\nquit\n", "no port"],
    ["has a port that there is", "# RFC 5321.\nport 25\nquit\n", 'no port "25"'],
    ["has steps that there are", `${HEAD}hop\n`, 'x:3: what is "hop"'],
    ["has bytes in quotes", `${HEAD}raw X\n`, "x:3: not in double quotes"],
    ["has escapes that there are", `${HEAD}raw "\\q"\n`, "x:3: unknown escape"],
    ["ends its replies", `${HEAD}S: 250-a\n`, "a reply without its last line"],
  ])("%s", (_, source, why) => {
    expect(() => parseScript("x", source)).toThrow(why);
  });

  it("knows what stands in braces", () => {
    expect(fill("a{n}b{x y*3}c", { n: "7" })).toBe("a7bx yx yx yc");
    expect(() => fill("{nothing}", {})).toThrow("nothing is named {nothing}");
  });

  it("has bytes, escapes and lines", () => {
    const { steps } = parseScript("x", `${HEAD}raw*2 "\\xff\\r\\n\\0ü"\nS: 250-a\nS: 250 b\n| text\n|\n`);
    expect(steps).toEqual([
      { line: 3, verb: "raw", times: 2, text: "\xff\r\n\0\xc3\xbc", more: [] },
      { line: 4, verb: "S", times: 1, text: "250-a", more: ["250 b"] },
      { line: 6, verb: "|", times: 1, text: "text", more: [] },
      { line: 7, verb: "|", times: 1, text: "", more: [] },
    ]);
  });
});
