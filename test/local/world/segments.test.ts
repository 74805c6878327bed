/** The files below the inbox: group commit, what a torn file gives back, and a disk that fails. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createTransport } from "nodemailer";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Inbox } from "../../../src/local/world/inbox.ts";
import { type Place, recordsIn, Segments } from "../../../src/local/world/segments.ts";
import { ANY_PORTS, MAIN, messageOf, refusalOf } from "./world.ts";

const has = (program: string) => spawnSync("which", [program]).status === 0;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "edgepost-segments-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function append(segments: Segments, line: object, body?: Buffer): Promise<Place> {
  let place: Place | undefined;
  await segments.append(line, body, (at) => {
    place = at;
  });
  return place as Place;
}

describe("segments", () => {
  it("gives back what was appended at once, in order: with bodies, without, empty, and full of line feeds", async () => {
    const segments = new Segments(folder);
    const bodies = [Buffer.from("a\nb\n"), undefined, Buffer.alloc(0), Buffer.alloc(200_000, "\n")];
    const places = await Promise.all(bodies.map((body, n) => append(segments, { n, text: "ü\n" }, body)));
    for (const [i, body] of bodies.entries())
      if (body) expect(await segments.read(places[i] as Place)).toEqual(body);
    await segments.close();
    const records = [...recordsIn(segments.fileOf(1))];
    expect(records.map(({ line }) => line)).toMatchObject(bodies.map((_, n) => ({ n, text: "ü\n" })));
    expect(records.map(({ offset, bytes }) => ({ segment: 1, offset, bytes }))).toEqual(places);
  });

  it("reads a line that is longer than its window", async () => {
    const segments = new Segments(folder);
    const to = Array.from({ length: 10_000 }, (_, i) => `recipient-${i}@example.com`);
    await append(segments, { to }, Buffer.from("x"));
    await append(segments, { to: [] }, Buffer.from("y"));
    await segments.close();
    expect([...recordsIn(segments.fileOf(1))].map(({ line }) => (line as { to: string[] }).to)).toEqual([
      to,
      [],
    ]);
  });

  it("gives back every whole record of a file cut at any byte", async () => {
    const segments = new Segments(folder);
    const places: Place[] = [];
    for (let n = 0; n < 3; n++) places.push(await append(segments, { n }, Buffer.from("body\n")));
    await segments.close();
    const file = segments.fileOf(1);
    const bytes = readFileSync(file);
    for (let length = 0; length <= bytes.length; length++) {
      writeFileSync(file, bytes.subarray(0, length));
      const whole = places.filter(({ offset, bytes }) => offset + bytes + 1 <= length).length;
      expect([...recordsIn(file)]).toHaveLength(whole);
    }
  });

  it("never appends to the file of another life", async () => {
    const first = new Segments(folder);
    await append(first, { n: 1 });
    appendFileSync(first.fileOf(1), '{"half');
    const second = new Segments(folder);
    expect((await append(second, { n: 2 })).segment).toBe(2);
    expect(second.numbers()).toEqual([1, 2]);
    await Promise.all([first.close(), second.close()]);
  });
});

describe("the inbox on its files", () => {
  const arrival = (n: number) => ({
    receivedAt: n,
    envelope: { from: "a@example.com", to: ["b@example.com"] },
    tls: false,
    helo: "",
    raw: Buffer.from(`Message-ID: <${n}>\r\n\r\n`),
  });

  it("has the same in memory and on disk when it is cleared while messages arrive", async () => {
    const inbox = new Inbox(folder);
    const arriving = [1, 2, 3].map((n) => inbox.store(arrival(n)));
    await Promise.all([...arriving, inbox.clear(), inbox.store(arrival(4))]);
    await inbox.store(arrival(5));
    const kept = [...inbox.kept()];
    for (const entry of kept) expect((await inbox.rawOf(entry)).toString()).toContain(`<${entry.messageId}>`);
    expect(kept.at(-1)?.messageId).toBe("5");
    expect(inbox.count().accepted).toBe(kept.length);
    await inbox.close();
    expect([...new Inbox(folder).kept()]).toEqual(kept);
  });
});

describe("a disk that fails", () => {
  it.skipIf(!has("strace"))(
    "is a 451 to the message whose fsync failed, and no harm to the next",
    async () => {
      const inject = [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=2",
      ];
      const env = { ...process.env, ...ANY_PORTS, UV_THREADPOOL_SIZE: "1", EDGEPOST_HOME: folder };
      const strace = spawn("strace", [...inject, process.execPath, MAIN], {
        env,
        stdio: ["ignore", "pipe", "ignore"],
      });
      const [line] = (await once(createInterface({ input: strace.stdout }), "line")) as [string];
      const { mxPort, http } = JSON.parse(line) as { mxPort: number; http: string };
      const transport = createTransport({ host: "127.0.0.1", port: mxPort, pool: true, ignoreTLS: true });
      const send = (to: string) =>
        transport.sendMail({ envelope: { from: "a@example.com", to }, raw: messageOf({ to, id: to }) });
      try {
        await send("1@x.example");
        expect((await refusalOf(send("2@x.example"))).response).toMatch(/^451 4\.3\.0 /);
        await send("3@x.example");
        const { messages } = (await (await fetch(`${http}/inbox`)).json()) as {
          messages: { envelope: { to: string[] } }[];
        };
        expect(messages.map(({ envelope }) => envelope.to[0])).toEqual(["3@x.example", "1@x.example"]);
      } finally {
        transport.close();
        // strace itself holds back the signals that end it; it ends with what it traces.
        const ended = once(strace, "exit");
        process.kill(Number(spawnSync("pgrep", ["-P", String(strace.pid)]).stdout), "SIGTERM");
        await ended;
      }
    },
  );
});
