/** The real rspamd, where Debian's package is installed: what it answers is what spam.ts reads. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { spamScore } from "../../../src/receive/inbound/spam.ts";

const hasRspamd = spawnSync("rspamd", ["--version"]).status === 0;
/** What every scanner knows as spam, to be tested with. */
const GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

let home: string;
let rspamd: ChildProcess;
let url: string;
const logged: unknown[] = [];

describe.runIf(hasRspamd)("rspamd", () => {
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "rspamd-"));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    writeFileSync(join(home, "rspamd.conf"), configuration(port));
    const as = process.getuid?.() === 0 ? ["-i"] : [];
    rspamd = spawn("rspamd", ["-f", "-c", join(home, "rspamd.conf"), ...as], {
      stdio: "ignore",
    });
    await answers();
  }, 120_000);
  afterAll(async () => {
    if (rspamd.exitCode === null) {
      const ended = new Promise((resolve) => rspamd.once("exit", resolve));
      rspamd.kill("SIGTERM");
      await ended;
    }
    rmSync(home, { recursive: true });
  });

  const score = (text: string) => {
    const needs = { scanner: { url, fetch }, log: (...line: unknown[]) => void logged.push(line) };
    const raw = Buffer.from(`From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n\r\n${text}\r\n`);
    const client = { address: "192.0.2.7", helo: "mx.far.example" };
    return spamScore(needs, { raw, client, reversePath: "a@b.example", recipient: "c@d.example" });
  };

  it("knows spam, and lets the rest be", async () => {
    const spam = await score(GTUBE);
    expect(logged).toEqual([]);
    expect(spam).toMatchObject({ isSpam: true, version: expect.stringMatching(/^rspamd/) });
    expect(spam?.tests).toContain("GTUBE");
    expect(await score("Hello, shall we meet?")).toMatchObject({ isSpam: false });
  });
});

/** No modules, no networks: the protocol, and the test that is built in. */
function configuration(port: number): string {
  return `
options { pidfile = "${home}/rspamd.pid"; tempdir = "${home}"; url_tld = "$SHAREDIR/effective_tld_names.dat"; dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1; retransmits = 1; } }
logging { type = "file"; filename = "${home}/rspamd.log"; level = "warning"; }
actions { reject = 15; "add header" = 6; greylist = 4; }
worker "normal" { bind_socket = "127.0.0.1:${port}"; count = 1; }
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function answers(): Promise<void> {
  // It reads the words of sixty languages first.
  for (let tries = 0; tries < 1_000 && rspamd.exitCode === null; tries++) {
    const response = await fetch(`${url}/ping`).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("rspamd does not answer");
}
