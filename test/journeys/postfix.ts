/**
 * A real Postfix of its own: configuration, queue and log in a folder that is removed with it, on a port of its own, beside whatever
 * Postfix the machine may run. Needs Debian's package and root.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/local/ports.ts";

const START_MS = 15_000;
const STOP_MS = 10_000;
/** Where Debian has its programs. */
const DAEMONS = "/usr/lib/postfix/sbin";

/** Why there can't be one here; undefined when there can. */
export function postfixLacks(): string | undefined {
  if (!existsSync(join(DAEMONS, "master"))) return "postfix is not installed";
  if (process.getuid?.() !== 0) return "Postfix starts as root only";
  return undefined;
}

/** master.cf: service, type, private, unprivileged, chroot, wake-up, most processes, program. */
const SERVICES = [
  "pickup unix n - n 60 1 pickup",
  "cleanup unix n - n - 0 cleanup",
  "qmgr unix n - n 300 1 qmgr",
  "tlsmgr unix - - n 1000? 1 tlsmgr",
  "rewrite unix - - n - - trivial-rewrite",
  "bounce unix - - n - 0 bounce",
  "defer unix - - n - 0 bounce",
  "trace unix - - n - 0 bounce",
  "verify unix - - n - 1 verify",
  "flush unix n - n 1000? 0 flush",
  "proxymap unix - - n - - proxymap",
  "smtp unix - - n - - smtp",
  "relay unix - - n - - smtp",
  "showq unix n - n - - showq",
  "error unix - - n - - error",
  "retry unix - - n - - error",
  "discard unix - - n - - discard",
  "anvil unix - - n - 1 anvil",
  "scache unix - - n - 1 scache",
  "tlsproxy unix - - n - 0 tlsproxy",
  "postlog unix-dgram n - n - 1 postlogd",
];

export class Postfix {
  readonly folder: string;
  readonly port: number;
  readonly #starter: ChildProcess;

  private constructor(folder: string, port: number, starter: ChildProcess) {
    this.folder = folder;
    this.port = port;
    this.#starter = starter;
  }

  /** `settings` are main.cf's, after those that make it private; `files` lie beside it, and are named there by `$config_directory`. */
  static async start(settings: Record<string, string>, files: Record<string, string> = {}): Promise<Postfix> {
    const folder = mkdtempSync(join(tmpdir(), "edgepost-postfix-"));
    // Its processes run as another user, below a folder that only root could enter.
    chmodSync(folder, 0o755);
    const port = await freePort();
    const [uid = "0", gid = "0"] = ["-u", "-g"].map((what) =>
      spawnSync("id", [what, "postfix"], { encoding: "utf8" }).stdout.trim(),
    );
    for (const part of ["conf", "queue", "data", "log"]) mkdirSync(join(folder, part));
    chownSync(join(folder, "data"), Number(uid), Number(gid));
    const conf = join(folder, "conf");
    const main = { ...privately(folder), ...settings };
    const lines = (all: string[]) => `${all.join("\n")}\n`;
    writeFileSync(
      join(conf, "main.cf"),
      lines(Object.entries(main).map(([name, value]) => `${name} = ${value}`)),
    );
    writeFileSync(join(conf, "master.cf"), lines([`127.0.0.1:${port} inet n - n - - smtpd`, ...SERVICES]));
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(conf, name), content, { mode: 0o600 });
    const starter = spawn("postfix", ["-c", conf, "start-fg"], { stdio: "ignore" });
    const postfix = new Postfix(folder, port, starter);
    const late = Date.now() + START_MS;
    while (!(await answers(port))) {
      if (starter.exitCode !== null || Date.now() > late) {
        const said = postfix.log;
        await postfix.remove();
        throw new Error(`Postfix does not start: ${said.slice(-2_000)}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
    return postfix;
  }

  /** The master's; `postfix start-fg` only waits for it. */
  get pid(): number {
    try {
      return Number(readFileSync(join(this.folder, "queue", "pid", "master.pid"), "utf8"));
    } catch {
      // Not written yet: it has not come so far.
      return 0;
    }
  }

  get log(): string {
    const file = join(this.folder, "log", "mail.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Messages in its queue, whatever their state. */
  get queued(): number {
    const { stdout } = spawnSync("postqueue", ["-c", join(this.folder, "conf"), "-j"], {
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout.split("\n").filter(Boolean).length;
  }

  async remove(): Promise<void> {
    const { pid } = this;
    // On SIGTERM the master ends its process group, which is its own, and so its services.
    if (pid > 0) signal(pid, "SIGTERM");
    const starter = this.#starter;
    if (starter.exitCode === null && starter.signalCode === null) {
      const ended = new Promise<void>((done) => starter.once("exit", () => done()));
      const late = setTimeout(() => {
        signal(-pid, "SIGKILL");
        starter.kill("SIGKILL");
      }, STOP_MS);
      await ended;
      clearTimeout(late);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function privately(folder: string): Record<string, string> {
  return {
    compatibility_level: "3.6",
    queue_directory: join(folder, "queue"),
    data_directory: join(folder, "data"),
    daemon_directory: DAEMONS,
    command_directory: "/usr/sbin",
    meta_directory: "/etc/postfix",
    shlib_directory: "/usr/lib/postfix",
    mail_owner: "postfix",
    setgid_group: "postdrop",
    maillog_file: join(folder, "log", "mail.log"),
    maillog_file_prefixes: folder,
    myhostname: "client.example",
    mydestination: "",
    local_recipient_maps: "",
    alias_maps: "",
    alias_database: "",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    mynetworks: "127.0.0.0/8",
    // Nothing here asks a DNS.
    smtp_host_lookup: "native",
    smtpd_peername_lookup: "no",
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It has ended by itself meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => {
      socket.end("QUIT\r\n");
      done(true);
    });
    socket.once("error", () => done(false));
  });
}
