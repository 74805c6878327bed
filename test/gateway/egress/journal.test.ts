/** A key is sent once: while it is worked on, after it ended, and across the death of the process (catalogue A6). */
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Journal } from "../../../src/gateway/egress/journal.ts";
import type { EgressResult } from "../../../src/mail/egress.ts";
import { frame, GatewayProcess, MESSAGE } from "../gateway-process.ts";
import { ScriptedMx } from "../scripted-mx.ts";
import { TestDns } from "../test-dns.ts";

const newFolder = () => mkdtempSync(join(tmpdir(), "edgepost-journal-"));
const resultOf = (key: string, reason = "") => ({ key, outcomes: [{ reason }] }) as unknown as EgressResult;

describe("the journal", () => {
  it("gives back results, also after it was opened again", async () => {
    const folder = newFolder();
    const first = new Journal(folder);
    first.dot("a/x/1");
    first.result(resultOf("a/x/1", "as it was, with spaces\nand ü"));
    expect(first.has("a/x/2")).toBe(false);
    expect(await first.find("a/x/1")).toEqual(resultOf("a/x/1", "as it was, with spaces\nand ü"));
    first.close();
    const second = new Journal(folder);
    second.result(resultOf("b/x/1"));
    expect(await second.find("a/x/1")).toEqual(resultOf("a/x/1", "as it was, with spaces\nand ü"));
    expect(await second.find("b/x/1")).toEqual(resultOf("b/x/1"));
    expect(second.wasCutOff("a/x/1")).toBe(false);
  });

  it("knows the dots that have no result, once", () => {
    const folder = newFolder();
    new Journal(folder).dot("a/x/1");
    const again = new Journal(folder);
    expect(again.wasCutOff("b/x/1")).toBe(false);
    expect(again.wasCutOff("a/x/1")).toBe(true);
    expect(again.wasCutOff("a/x/1")).toBe(false);
  });

  it("reads past lines that are torn, foreign or too old", async () => {
    const folder = newFolder();
    const first = new Journal(folder);
    first.result(resultOf("good/x/1"));
    first.close();
    const [name = ""] = readdirSync(folder);
    const old = `r ${Date.now() - 3_600_000} old/x/1 {"key":"old/x/1","outcomes":[]}\n`;
    appendFileSync(join(folder, name), `\n\0\0\0\nwhat is this\n${old}r ${Date.now()} torn/x/1 {"key":"torn`);
    writeFileSync(join(folder, "other.txt"), "not ours");
    const second = new Journal(folder);
    expect(await second.find("good/x/1")).toEqual(resultOf("good/x/1"));
    expect([second.has("old/x/1"), second.has("torn/x/1")]).toEqual([false, false]);
  });

  it("remembers over many starts, each of which begins a file", async () => {
    const folder = newFolder();
    new Journal(folder).result(resultOf("first/x/1", "said"));
    for (let i = 0; i < 20; i++) new Journal(folder).close();
    expect((await new Journal(folder).find("first/x/1"))?.key).toBe("first/x/1");
  });

  it("starts a new file when one is full, and keeps a bounded size", async () => {
    const folder = newFolder();
    const journal = new Journal(folder, 64_000);
    const big = "x".repeat(16_000);
    for (let i = 0; i < 45; i++) journal.result(resultOf(`k${i}/x/1`, big));
    expect(readdirSync(folder).length).toBeLessThanOrEqual(11);
    expect((await journal.find("k44/x/1"))?.key).toBe("k44/x/1");
    // Its file is gone: it is as if it never was.
    expect(await journal.find("k0/x/1")).toBeUndefined();
  });
});

let dns: TestDns;
let mx: ScriptedMx;
let gateway: GatewayProcess;

beforeAll(async () => {
  dns = await new TestDns().listen();
  dns.domain("good.test", [[10, "mx.good.test", "127.0.0.1"]]);
  mx = await new ScriptedMx().listen();
});

afterAll(async () => {
  await mx.stop();
  dns.stop();
});

beforeEach(async () => {
  mx.script = {};
  mx.taken.length = 0;
  mx.said.length = 0;
  gateway = await new GatewayProcess(
    { EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port) },
    { afterDot: 20_000, drain: 300 },
  ).start();
});

afterEach(() => gateway.end("SIGKILL"));

/** Its reply to the final dot waits until it is told. */
function holdReply(): { reached: Promise<void>; release(): void } {
  let release = () => {};
  const reached = new Promise<void>((resolve) => {
    mx.script = {
      on: (what) => {
        if (what !== "(message)") return undefined;
        return ({ socket }) => {
          release = () => socket.write("250 2.0.0 taken\r\n");
          resolve();
        };
      },
    };
  });
  return { reached, release: () => release() };
}

const dots = () => mx.said.filter((line) => line === "(message)").length;

describe("a key that is asked about again", () => {
  it("joins the work in hand", async () => {
    const hold = holdReply();
    const first = gateway.sendOne("a@good.test", { key: "joined/x/1" });
    await hold.reached;
    const second = gateway.sendOne("a@good.test", { key: "joined/x/1" });
    await new Promise((done) => setTimeout(done, 100));
    hold.release();
    expect(await second).toEqual(await first);
    expect(await first).toMatchObject({ result: "delivered" });
    expect(dots()).toBe(1);
    expect(await gateway.metric('edgepost_egress_repeats_total{kind="joined"}')).toBe(1);
  });

  it("is answered from the journal when it has ended, for a bounce too", async () => {
    mx.script = { on: (what) => (what.startsWith("RCPT TO:<no@") ? "550 5.1.1 unknown" : undefined) };
    const first = await gateway.sendOne("a@good.test", { key: "done/x/1" });
    const bounced = await gateway.sendOne("no@good.test", { key: "done/x/2" });
    const said = mx.said.length;
    expect(await gateway.sendOne("a@good.test", { key: "done/x/1" })).toEqual(first);
    expect(await gateway.sendOne("no@good.test", { key: "done/x/2" })).toEqual(bounced);
    expect(bounced.result).toBe("bounced");
    expect(mx.said.length).toBe(said);
  });

  it("is answered after kill -9, when its result was written", async () => {
    const first = await gateway.sendOne("a@good.test", { key: "killed/x/1" });
    await gateway.end("SIGKILL");
    await gateway.start();
    expect(await gateway.sendOne("a@good.test", { key: "killed/x/1" })).toEqual(first);
    expect(dots()).toBe(1);
    expect(await gateway.metric("edgepost_egress_uncertain_total")).toBe(0);
  });

  it("is sent again after kill -9 between its dot and its reply, and counted", async () => {
    const hold = holdReply();
    const lost = gateway.sendOne("a@good.test", { key: "cut/x/1" }).catch(() => "cut");
    await hold.reached;
    await gateway.end("SIGKILL");
    expect(await lost).toBe("cut");
    mx.script = {};
    await gateway.start();
    const again = await gateway.sendOne("a@good.test", { key: "cut/x/1" });
    expect(again).toMatchObject({ result: "delivered", uncertain: true });
    expect(dots()).toBe(2);
    expect(await gateway.metric("edgepost_egress_uncertain_total")).toBe(1);
  });

  it("is sent once when the requester went away in the middle", async () => {
    const hold = holdReply();
    const abort = new AbortController();
    const gone = gateway.post(frame({ key: "gone/x/1" }, MESSAGE), { signal: abort.signal });
    await hold.reached;
    abort.abort();
    // The header came before; what is cut is the body.
    await gone.then((r) => r.text()).catch(() => undefined);
    hold.release();
    expect(await gateway.sendOne("a@good.test", { key: "gone/x/1" })).toMatchObject({ result: "delivered" });
    expect(dots()).toBe(1);
  });
});

const mountDisk = () => {
  const folder = newFolder();
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
  return status === 0 ? folder : undefined;
};
/** Undefined where file systems can't be mounted. */
const smallDisk = mountDisk();

describe.skipIf(!smallDisk)("a disk that is full", () => {
  const folder = smallDisk ?? "";
  afterAll(() => void spawnSync("umount", [folder]));

  it("stops no mail, and costs only the memory of what was sent then", async () => {
    await gateway.end("SIGKILL");
    gateway.env.GATEWAY_STATE = folder;
    await gateway.start();
    const before = await gateway.sendOne("a@good.test", { key: "before/x/1" });
    const filler = join(folder, "filler");
    appendFileSync(filler, Buffer.alloc(20_000));
    const send = (i: number) => gateway.sendOne("a@good.test", { key: `full${i}/x/1` });
    for (let i = 0; i < 80; i++) expect(await send(i)).toMatchObject({ result: "delivered" });
    // It really was full: the last is not remembered, and asking again sends it again.
    const dotsBefore = dots();
    await send(79);
    expect(dots()).toBe(dotsBefore + 1);
    rmSync(filler);
    expect(await gateway.sendOne("a@good.test", { key: "before/x/1" })).toEqual(before);
    const after = await gateway.sendOne("a@good.test", { key: "after/x/1" });
    await gateway.end("SIGKILL");
    await gateway.start();
    const taken = mx.taken.length;
    expect(await gateway.sendOne("a@good.test", { key: "before/x/1" })).toEqual(before);
    expect(await gateway.sendOne("a@good.test", { key: "after/x/1" })).toEqual(after);
    expect(mx.taken.length).toBe(taken);
  });
});

describe("a gateway that stops", () => {
  it("ends what it has in hand, takes nothing new, and exits 0", async () => {
    gateway.env.GATEWAY_TIMEOUTS = JSON.stringify({ drain: 10_000, afterDot: 20_000 });
    await gateway.end("SIGKILL");
    await gateway.start();
    const hold = holdReply();
    const sending = gateway.sendOne("a@good.test");
    await hold.reached;
    const ended = gateway.end("SIGTERM");
    await expect(
      (async () => {
        for (;;) await fetch(`${gateway.url}/healthz`);
      })(),
    ).rejects.toThrow();
    hold.release();
    expect(await sending).toMatchObject({ result: "delivered" });
    expect(await ended).toBe(0);
  });

  it("says of what it can't end what is known: uncertain behind the dot, our own fault before", async () => {
    const hold = holdReply();
    const behind = gateway.sendOne("a@good.test", { key: "behind/x/1", connections: 1 });
    const waiting = gateway.sendOne("b@good.test", { key: "waiting/x/1", connections: 1 });
    await hold.reached;
    expect(await gateway.end("SIGTERM")).toBe(0);
    expect(await behind).toMatchObject({ result: "deferred", uncertain: true });
    expect(await waiting).toMatchObject({ result: "deferred", uncertain: false, concerns: "transport" });
    expect(dots()).toBe(1);
    // What was our own fault is not an end of that key.
    mx.script = {};
    await gateway.start();
    expect(await gateway.sendOne("a@good.test", { key: "behind/x/1" })).toEqual(await behind);
    expect(await gateway.sendOne("b@good.test", { key: "waiting/x/1" })).toMatchObject({
      result: "delivered",
    });
  });

  it("stops when its parent is gone", async () => {
    const child = gateway.process;
    const ended = new Promise((done) => child?.once("exit", done));
    child?.disconnect();
    expect(await ended).toBe(0);
  });

  it("writes nothing of the message to its log or its journal", async () => {
    await gateway.sendOne("secret-person@nowhere.test", {}, "Subject: confidential\r\n\r\nbody text\r\n");
    expect(gateway.log).not.toMatch(/confidential|body text|secret-person/);
    const folder = gateway.env.GATEWAY_STATE ?? "";
    const journal = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
    expect(journal.join("")).not.toMatch(/confidential|body text/);
  });
});
