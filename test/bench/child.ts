/**
 * Runs a program of this folder in a process of its own and talks to it: a load generator's CPU must stay apart from the
 * server's, and a floor's process tree must be as separate as the product's.
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";

const STOP_MS = 5_000;

export class BenchChild {
  readonly #process: ChildProcess;
  readonly #inbox: unknown[] = [];
  #wake: (() => void) | undefined;
  #ended: string | undefined;

  constructor(script: string, env: Record<string, string> = {}) {
    const path = script.startsWith("/") ? script : join(import.meta.dirname, script);
    this.#process = fork(path, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let said = "";
    this.#process.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
    });
    this.#process.on("message", (message) => {
      this.#inbox.push(message);
      this.#wake?.();
    });
    this.#process.on("exit", (code, signal) => {
      this.#ended = `${script} ended (${signal ?? code}): ${said.trim()}`;
      this.#wake?.();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  send(message: object): void {
    this.#process.send(message);
  }

  /** The next message that it sends; throws its last words when it has ended. */
  async next<T>(): Promise<T> {
    while (this.#inbox.length === 0) {
      if (this.#ended !== undefined) throw new Error(this.#ended);
      await new Promise<void>((done) => {
        this.#wake = done;
      });
    }
    return this.#inbox.shift() as T;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(late);
  }
}
