/** The world's life as a process: what outlives a SIGKILL, how it stops, and what it says when a port is taken. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ANY_PORTS, MAIN, refusalOf, until, World } from "./world.ts";

const worlds: World[] = [];
async function start(): Promise<World> {
  const world = await World.start();
  worlds.push(world);
  return world;
}
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.remove();
});

describe("after a SIGKILL", () => {
  it("has every message that had its 250, killed in the middle of a stream", async () => {
    const world = await start();
    const acknowledged: string[] = [];
    const client = async (number: number) => {
      for (let i = 0; ; i++) {
        const id = `${number}-${i}`;
        try {
          await world.send({ id, to: `r${number}@x.example`, text: "x".repeat(20_000) });
        } catch {
          // Killed: this one was not promised.
          return;
        }
        acknowledged.push(id);
        if (acknowledged.length === 100) void world.end("SIGKILL");
      }
    };
    await Promise.all([1, 2, 3, 4].map(client));
    await world.end("SIGKILL");
    await world.startAgain();
    const witness = new Map((await world.witness()).map((w) => [w.messageId, w]));
    const lost = acknowledged.filter((id) => !witness.has(`${id}@test`));
    expect(acknowledged.length).toBeGreaterThanOrEqual(100);
    expect(lost).toEqual([]);
    const whole = await world.inbox({ limit: "1000" });
    expect(whole.every(({ raw }) => raw.includes("x".repeat(20_000)))).toBe(true);
  });

  it("remembers which of them it had answered, and goes on counting", async () => {
    const world = await start();
    await world.send({ id: "answered", to: "a@x.example" });
    await refusalOf(world.send({ id: "cut", to: "after-dot@x.example" }));
    await refusalOf(world.send({ to: "hard-bounce@x.example" }));
    // The refusal is only counted, not waited for: the next message is written after it.
    await world.send({ id: "last", to: "a@x.example" });
    const before = await world.witness();
    await world.end("SIGKILL");
    await world.startAgain();
    expect(await world.witness()).toEqual(before);
    expect(before.map((w) => w.repliedAt === null)).toEqual([false, true, false]);
    expect(await (await fetch(`${world.http}/inbox/count`)).json()).toEqual({ accepted: 3, refused: 1 });
  });

  it("remembers whom it greylisted, and what it dropped and cut", async () => {
    const world = await start();
    const greylisted = { to: "greylist@x.example" };
    const dropped = { to: "drop@x.example", id: "dropped" };
    const cut = { to: "after-dot@x.example", id: "cut" };
    for (const sending of [greylisted, dropped, dropped, cut]) await refusalOf(world.send(sending));
    await world.end("SIGKILL");
    await world.startAgain();
    for (const sending of [greylisted, dropped, cut]) expect(await world.send(sending)).toMatch(/^250 /);
  });

  it("reads a file that ends in half a record", async () => {
    const world = await start();
    await world.send({ id: "whole", to: "a@x.example" });
    await world.end("SIGKILL");
    const folder = join(world.home, "world", "inbox");
    const [log] = readdirSync(folder).filter((name) => name.endsWith(".log"));
    appendFileSync(
      join(folder, log ?? ""),
      '{"receivedAt":1,"envelope":{"from":"","to":[]},"bytes":1000}\nhalf of it',
    );
    await world.startAgain();
    await world.send({ id: "next", to: "a@x.example" });
    await world.end("SIGKILL");
    await world.startAgain();
    expect((await world.witness()).map((w) => w.messageId)).toEqual(["whole@test", "next@test"]);
  });
});

describe("as a process", () => {
  it("stops cleanly on SIGTERM and SIGINT, with a client connected", async () => {
    const world = await start();
    const transport = world.transport();
    await transport.verify();
    expect(await world.end("SIGTERM")).toBe(0);
    await world.startAgain();
    expect(await world.end("SIGINT")).toBe(0);
  });

  it("ends when its parent is killed", async () => {
    const home = mkdtempSync(join(tmpdir(), "edgepost-world-"));
    const script = `
      const child = require("node:child_process").fork(process.argv[1], { stdio: "ignore" });
      child.on("message", () => console.log(child.pid));`;
    const env = { ...process.env, ...ANY_PORTS, EDGEPOST_HOME: home };
    const parent = spawn(process.execPath, ["-e", script, MAIN], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [pid] = (await once(parent.stdout, "data")) as [Buffer];
    parent.kill("SIGKILL");
    await until("the world is gone", () => {
      try {
        process.kill(Number(pid), 0);
        return undefined;
      } catch {
        // No such process.
        return true;
      }
    });
    rmSync(home, { recursive: true, force: true });
  });

  it.each(Object.keys(ANY_PORTS))("names %s when its port is taken", async (name) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const home = mkdtempSync(join(tmpdir(), "edgepost-world-"));
    const env = { ...process.env, ...ANY_PORTS, [name]: String(port), EDGEPOST_HOME: home };
    const { status, stderr } = spawnSync(process.execPath, [MAIN], { env, encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toContain(`Port ${port} is taken: set ${name} to another`);
    taken.close();
    rmSync(home, { recursive: true, force: true });
  });
});
