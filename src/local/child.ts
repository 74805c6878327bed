/** A process of the local system that is brought back whenever it ends, as a supervisor in production would. */
import { type ChildProcess, fork } from "node:child_process";
import { appendFileSync, closeSync, openSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";

/** Node keeps what it compiled there, which halves the time until a killed process is back. */
const COMPILED = resolve(import.meta.dirname, "../../node_modules/.cache/edgepost/compiled");
const RESTART_MS = 100;
/** A process that ends at once would otherwise be started ten times a second for ever. */
const MAX_RESTART_MS = 1_000;

export interface ChildSpec {
  name: string;
  script: string;
  env: Record<string, string>;
  /** Options of Node. */
  nodeOptions?: string[];
  /** Where its standard error goes. */
  logFile: string;
  onRestart(pid: number): void;
}

export class Child {
  readonly #spec: ChildSpec;
  #process: ChildProcess | undefined;
  #stopping = false;
  #restartMs = RESTART_MS;

  constructor(spec: ChildSpec) {
    this.#spec = spec;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Resolves when it says that it is ready; rejects with its last words when it ends before. */
  start(): Promise<void> {
    return new Promise((ready, failed) => {
      const { script, env, name, logFile, nodeOptions = [] } = this.#spec;
      // The file itself and no pipe: each line would cost this process as much as the one that wrote it.
      const log = openSync(logFile, "a", 0o600);
      const before = statSync(logFile).size;
      const child = fork(script, {
        env: { NODE_COMPILE_CACHE: COMPILED, ...process.env, ...env },
        stdio: ["ignore", "ignore", log, "ipc"],
        execArgv: nodeOptions,
      });
      closeSync(log);
      this.#process = child;
      let isReady = false;
      child.on("message", (message: { ready?: boolean }) => {
        if (!message.ready) return;
        isReady = true;
        this.#restartMs = RESTART_MS;
        ready();
      });
      child.on("exit", (code, signal) => {
        if (this.#stopping) return;
        if (!isReady) {
          const said = readFileSync(logFile).subarray(before).toString().slice(-2_000).trim();
          failed(new Error(`${name} ended before it was ready (${signal ?? code}): ${said}`));
        }
        setTimeout(() => void this.#again(), this.#restartMs);
        this.#restartMs = Math.min(this.#restartMs * 2, MAX_RESTART_MS);
      });
    });
  }

  async #again(): Promise<void> {
    if (this.#stopping) return;
    // A start that fails has armed the next one itself.
    await this.start().then(
      () => this.#spec.onRestart(this.pid),
      (error: Error) => appendFileSync(this.#spec.logFile, `${error.message}\n`),
    );
  }

  stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((done) => {
      child.once("exit", () => done());
      child.kill("SIGTERM");
    });
  }
}
