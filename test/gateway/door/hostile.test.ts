/** Whatever comes in, and whatever runs out: the process lives, other sessions go on, and nothing half-said becomes a message. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newDoor, type Under, until } from "./doors.ts";
import { FakeWorker, INBOUND } from "./fake-worker.ts";
import { authPlain, SmtpClient } from "./smtp-client.ts";

let fake: FakeWorker;
let under: Under;
beforeAll(async () => {
  fake = await new FakeWorker().start();
  under = await newDoor(fake, { authInClear: true, limits: { sessionsPerAddress: 500, errors: 40 } });
});
afterAll(async () => {
  await under.end();
  await fake.stop();
});

const line = fc.constantFrom(
  "EHLO x",
  "HELO x",
  "MAIL FROM:<a@b.test>",
  "MAIL FROM:<> SIZE=100 RET=FULL",
  `RCPT TO:<hash@${INBOUND}>`,
  "RCPT TO:<a@elsewhere.test> NOTIFY=NEVER",
  "DATA",
  ".",
  "RSET",
  "NOOP",
  "AUTH LOGIN",
  authPlain(),
  "AUTH PLAIN",
  "*",
  "VRFY x",
  "Subject: x",
  "",
  "..",
  "MAIL FROM:<\u0000>",
  "\u00ff\u00fe",
);
const piece = fc.oneof(
  { weight: 8, arbitrary: line.map((l) => `${l}\r\n`) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
  { weight: 1, arbitrary: fc.constantFrom("\r", "\n", "\r\n.\r\n", "\0", "STARTTLS\r\n", "QUIT\r\n") },
);

describe("random input", () => {
  it("gets well-formed replies only, and a 250 for no message that was not taken", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), fc.nat(60), async (pieces, cut) => {
        const count = under.keeper.messages.length;
        const socket = connect({ port: under.ports[0], host: "127.0.0.1" });
        let said = "";
        socket.on("data", (chunk) => {
          said += chunk.toString("latin1");
        });
        socket.on("error", () => undefined);
        const closed = once(socket, "close");
        await once(socket, "connect");
        const bytes = Buffer.from(pieces.join(""), "latin1");
        socket.write(bytes.subarray(0, cut));
        await new Promise((resolve) => setTimeout(resolve, 1));
        socket.end(bytes.subarray(cut));
        await closed;
        // The last may be cut, where the client has left.
        const lines = said.split("\r\n");
        expect(lines.pop()).toBe("");
        for (const l of lines) expect(l).toMatch(/^(?:[245]\d\d[ -]|3[35]4 )[\x20-\x7e]*$/);
        const taken = lines.filter((l) => /^250 2\.0\.0 OK (?:queued|received)/.test(l)).length;
        expect(taken).toBeLessThanOrEqual(under.keeper.messages.length - count);
      }),
      { numRuns: 300 },
    );
    const client = await SmtpClient.greeted(under.ports[0]);
    expect(await client.ask("NOOP")).toMatch(/^250/);
    client.close();
    expect(under.events.filter(({ event }) => event === "session failed")).toEqual([]);
    await until(async () => (await under.metric("edgepost_door_sessions_open")) === 0);
  });
});

describe("a process without file descriptors left", () => {
  it("goes on with the sessions that it has, and takes new ones when there is room", async () => {
    const driver = join(import.meta.dirname, "driver.ts");
    const child = spawn("bash", ["-c", 'ulimit -n 80; exec "$0" "$1"', process.execPath, driver], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    const [first] = (await once(child.stdout, "data")) as [Buffer];
    const [port] = JSON.parse(first.toString()) as [number];
    const working = await SmtpClient.greeted(port);
    const crowd: Socket[] = [];
    for (let i = 0; i < 120; i++) {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => undefined);
      crowd.push(socket);
    }
    await until(() => crowd.some((socket) => socket.closed));
    expect(await working.send("A: b\r\n\r\nx", [`hash@${INBOUND}`])).toBe("250 2.0.0 OK received");
    for (const socket of crowd) socket.destroy();
    await until(async () => {
      const next = await SmtpClient.open(port);
      const greeting = await next.reply();
      next.close();
      return greeting.startsWith("220");
    });
    expect(child.exitCode).toBeNull();
    child.stdin.end();
    await exited;
  });
});
