/**
 * OpenSMTPD beside Postfix, which Debian does not install together: its package is unpacked somewhere (`dpkg -x`), and BENCH_OPENSMTPD
 * names its smtpd. The places and users that are compiled into it exist only in a mount namespace of its own.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/local/ports.ts";
import { startSink } from "./sink.ts";
import type { Peer } from "./smtp-peers.ts";
import { toStop } from "./started.ts";

const PROGRAM = process.env.BENCH_OPENSMTPD ?? "";
const START_MS = 10_000;
const STOP_MS = 5_000;
/** Any that nobody else has. */
const FIRST_UID = 61_700;
const USERS = ["opensmtpd", "opensmtpq"];

export function openSmtpdLacks(): string | undefined {
  if (!existsSync(PROGRAM)) return "BENCH_OPENSMTPD names no smtpd";
  if (process.getuid?.() !== 0) return "OpenSMTPD starts as root only";
  if (spawnSync("unshare", ["-m", "true"]).status !== 0) return "no mount namespaces here";
  return undefined;
}

/** Its files of users, with its own. */
function withUsers(folder: string): void {
  const passwd = USERS.map((name, i) => `${name}:x:${FIRST_UID + i}:${FIRST_UID + i}::/:/usr/sbin/nologin\n`);
  const group = USERS.map((name, i) => `${name}:x:${FIRST_UID + i}:\n`);
  for (const [file, lines] of [
    ["passwd", passwd],
    ["group", group],
  ] as const) {
    const given = readFileSync(`/etc/${file}`, "utf8")
      .split("\n")
      .filter((line) => line !== "" && !USERS.includes(line.split(":")[0] ?? ""));
    writeFileSync(join(folder, file), `${given.join("\n")}\n${lines.join("")}`);
  }
}

/** Queues with fsync, and delivers to a sink. */
export async function startOpenSmtpd(): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), "edgepost-opensmtpd-"));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const sink = await startSink();
  mkdirSync(join(folder, "spool"), { mode: 0o711 });
  withUsers(folder);
  // It asks for the name of each client: no DNS is measured here.
  writeFileSync(join(folder, "resolv.conf"), "lookup file\n");
  const lines = [
    "smtp limit max-mails 1000000000",
    `listen on 127.0.0.1 port ${port}`,
    `action "sink" relay host "smtp://127.0.0.1:${sink.port}"`,
    'match from any for any action "sink"',
    "",
  ];
  writeFileSync(join(folder, "smtpd.conf"), lines.join("\n"));
  const script = [
    "set -e",
    `mount --bind ${folder}/passwd /etc/passwd`,
    `mount --bind ${folder}/group /etc/group`,
    `mount --bind ${folder}/resolv.conf /etc/resolv.conf`,
    "mount -t tmpfs none /var/lib",
    "mkdir -p /var/lib/opensmtpd/empty",
    "mount -t tmpfs none /var/spool",
    "mkdir -p /var/spool/smtpd",
    `mount --bind ${folder}/spool /var/spool/smtpd`,
    `exec ${PROGRAM} -d -f ${folder}/smtpd.conf`,
  ];
  // No log of each message is measured: the others write theirs, but not to a pipe.
  const child = spawn("unshare", ["-m", "sh", "-c", script.join("\n")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(0, 2_000);
  });
  const stop = toStop(async () => {
    await ended(child);
    await sink.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const late = Date.now() + START_MS;
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > late) {
      await stop();
      throw new Error(`OpenSMTPD does not start: ${said}`);
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    port,
    auth: "",
    from: "sender@example.com",
    serving: [child.pid ?? 0],
    standIns: [],
    folder,
    stop,
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((done) => child.once("exit", () => done()));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exit;
  clearTimeout(late);
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      done(true);
    });
    socket.on("error", () => done(false));
  });
}
