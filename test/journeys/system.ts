/** The whole system as `npm start` runs it, on free ports and a home of its own, for tests that use it as a user would. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { LocalJson } from "../../src/local/start.ts";

const START = resolve(import.meta.dirname, "../../src/local/start.ts");
const ANY_PORTS = Object.fromEntries(
  ["HTTP", "SMTP", "SMTPS", "MX", "WORLD", "DNS"].map((p) => [`EDGEPOST_${p}_PORT`, "0"]),
);

export interface InboxMessage {
  id: string;
  receivedAt: number;
  envelope: { from: string; to: string[] };
  tls: boolean;
  helo: string;
  raw: string;
}

/** Those of this test file. */
const running = new Set<System>();

export class System {
  readonly home: string;
  #process: ChildProcess | undefined;
  #said = "";

  private constructor(home: string) {
    this.home = home;
  }

  static async start(
    home = mkdtempSync(join(tmpdir(), "edgepost-")),
    env: Record<string, string> = {},
  ): Promise<System> {
    const system = new System(home);
    await system.startAgain(env);
    running.add(system);
    return system;
  }

  /** On the same home, after a kill or a stop. Ports may be others. */
  async startAgain(env: Record<string, string> = {}): Promise<void> {
    rmSync(join(this.home, "local.json"), { force: true });
    this.#said = "";
    const child = spawn(process.execPath, [START], {
      env: { ...process.env, ...ANY_PORTS, ...env, EDGEPOST_HOME: this.home },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        // A test that asks again and again is not to drown what else is said.
        const said = chunk.toString().replaceAll(/^\{"event":"request".*\n/gm, "");
        this.#said = (this.#said + said).slice(-20_000);
      });
    const ready = () => {
      if (child.exitCode !== null) throw new Error(`npm start ended with ${child.exitCode}: ${this.#said}`);
      return existsSync(join(this.home, "local.json"));
    };
    await until("the system is ready", ready, 90_000);
  }

  /** What it printed so far. */
  get said(): string {
    return this.#said;
  }

  get local(): LocalJson {
    return JSON.parse(readFileSync(join(this.home, "local.json"), "utf8")) as LocalJson;
  }

  kill(part: "workerd" | "gateway" | "world"): void {
    try {
      process.kill(this.local.pids[part], "SIGKILL");
    } catch (error) {
      // Killed a moment ago, and not yet back: that is a kill as well.
      if (
        (error as NodeJS.ErrnoException).code !== "ESRCH" &&
        (error as NodeJS.ErrnoException).code !== "ENOENT"
      )
        throw error;
    }
  }

  /** kill -9 of everything at once: the supervisor, and whatever runs below it. */
  killTree(): void {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    for (const below of [...descendants(pid), pid]) {
      try {
        process.kill(below, "SIGKILL");
      } catch {
        // Ended by itself meanwhile: a child sees that its parent is gone.
      }
    }
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await Promise.race([ended, new Promise((done) => setTimeout(done, 10_000))]);
      this.killTree();
    }
  }

  async remove(): Promise<void> {
    running.delete(this);
    await this.stop();
    rmSync(this.home, { recursive: true, force: true });
  }

  async api(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${this.local.http}${path}`, {
      method,
      headers: {
        "X-Postmark-Server-Token": this.local.serverToken,
        "Content-Type": "application/json",
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return {
      status: response.status,
      headers: response.headers,
      json: (await response.json()) as Record<string, unknown>,
    };
  }

  async inbox(query: Record<string, string> = {}): Promise<InboxMessage[]> {
    const response = await fetch(`${this.local.world.http}/inbox?${new URLSearchParams(query)}`);
    return ((await response.json()) as { messages: InboxMessage[] }).messages;
  }

  /** Why what waits is waiting, and what was said of it: for a test that has waited in vain. */
  async explain(): Promise<string> {
    const ask = async (path: string) => {
      try {
        return JSON.stringify((await this.api("GET", path)).json);
      } catch (error) {
        // Perhaps that is why.
        return String(error);
      }
    };
    const answers: string[] = [];
    for (const path of ["/health/ledger", "/destinations"]) answers.push(`${path}: ${await ask(path)}`);
    const queued = await ask("/messages/outbound?count=500&offset=0&status=queued");
    const ids = [...queued.matchAll(/"MessageID":"([^"]+)"/g)].map(([, id]) => String(id));
    for (const id of [ids.at(0), ids.at(-1)])
      if (id) answers.push(`${id}: ${await ask(`/messages/outbound/${id}/timeline`)}`);
    const said = this.#said.split("\n");
    const log = join(this.home, "gateway.log");
    const gateway = existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(-20) : [];
    return [...answers, ...said.slice(-30), ...gateway].join("\n").slice(0, 20_000);
  }

  async ledger(): Promise<Record<string, number>> {
    return (await (await fetch(`${this.local.http}/health/ledger`)).json()) as Record<string, number>;
  }

  /** Waits until the message is in the inbox of the local world. */
  async arrives(to: string, timeoutMs = 20_000): Promise<InboxMessage> {
    let found: InboxMessage | undefined;
    await until(
      `mail for ${to} arrives`,
      async () => {
        [found] = await this.inbox({ to });
        return found !== undefined;
      },
      timeoutMs,
    );
    return found as InboxMessage;
  }
}

/** Polls; the time is only there so that a test ends. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await isTrue())) {
    if (Date.now() > end) {
      const why = await Promise.all([...running].map((system) => system.explain()));
      throw new Error([`not within ${timeoutMs} ms: ${what}`, ...why].join("\n"));
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

function descendants(pid: number): number[] {
  const list = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" });
  const pairs = list
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const below = (parent: number): number[] =>
    pairs.filter(([, p]) => p === parent).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}
