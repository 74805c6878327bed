/** Where egress is sent: Postfix's smtp-sink, which is hardly noticed, or else a discarding smtp-server. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { freePort } from "../../src/local/ports.ts";
import { BenchChild } from "./child.ts";
import { toStop } from "./started.ts";

const PLACES = ["/usr/sbin/smtp-sink", "/usr/lib/postfix/sbin/smtp-sink"];
const BACKLOG = "1000";
const READY_MS = 5_000;

export interface Sink {
  /** What it is, for the report. */
  name: string;
  port: number;
  stop(): Promise<void>;
}

export async function startSink(): Promise<Sink> {
  const program = PLACES.find((place) => existsSync(place));
  if (!program) {
    const child = new BenchChild("discard.ts");
    const { port } = await child.next<{ port: number }>();
    return { name: "an smtp-server that discards", port, stop: toStop(() => child.stop()) };
  }
  const port = await freePort();
  // As root it wants to be told whom to become.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = spawn(program, [...user, `127.0.0.1:${port}`, BACKLOG], { stdio: "ignore" });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = toStop(() => {
    child.kill("SIGTERM");
    return ended;
  });
  const late = Date.now() + READY_MS;
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > late) throw new Error(`${program} does not answer`);
    await new Promise((done) => setTimeout(done, 20));
  }
  return { name: "Postfix's smtp-sink", port, stop };
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
