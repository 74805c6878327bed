/** Every dialog of this folder, each in its own connection, against real gateway processes. README.md says how they are written. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DialogGateway, KINDS, NAME } from "./gateways.ts";
import { play } from "./play.ts";
import { type Port, parseScript, type Script } from "./script.ts";
import { visible } from "./wire.ts";

const scripts = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".smtp"))
  .sort()
  .map((file) => parseScript(file, readFileSync(join(import.meta.dirname, file), "utf8")));

let networks = 0;
/** A network of its own for each session: failed logins slow down a whole /24. */
function newAddress(): string {
  networks++;
  return `127.${1 + (networks >> 8)}.${networks & 255}.1`;
}

function sessionsOf(script: Script): [title: string, port: Port, value: string | undefined][] {
  const values = script.each?.values ?? [undefined];
  const name = script.each?.name ?? "";
  return script.ports.flatMap((port) =>
    values.map((value): [string, Port, string | undefined] => {
      const title = value === undefined ? port : `${port}, ${name} "${visible(value)}"`;
      return [title, port, value];
    }),
  );
}

it("has no dialog for a gateway that there is not", () => {
  expect(scripts.filter(({ gateway }) => !(gateway in KINDS)).map(({ name }) => name)).toEqual([]);
});

/** Whose dialogs stop and start nothing that others need, and come from addresses of their own: many wait, and need not for each other. */
const SIDE_BY_SIDE = ["usual", "strict"];

describe.each(Object.entries(KINDS))("the gateway %s", (kind, settings) => {
  const ours = scripts.filter(({ gateway }) => gateway === kind);
  let gateway: DialogGateway;
  let told = 0;

  beforeAll(async () => {
    gateway = await DialogGateway.start(settings);
  });
  afterAll(async () => {
    await gateway.end();
  });

  const together = SIDE_BY_SIDE.includes(kind) ? describe.concurrent : describe;
  together.each(ours.map((script) => [script.name, script] as const))("%s", (_, script) => {
    it.each(sessionsOf(script))("%s", async (_title, port, value) => {
      const { worker } = gateway;
      const client = newAddress();
      const localAddress = settings.proxy === undefined ? client : "127.0.0.1";
      const target = { port: gateway.portOf(port), client, localAddress, ca: gateway.ca, name: NAME };
      await play(script, port, value, {
        worker,
        target,
        forwardedMs: 30_000,
        restart: async () => {
          await gateway.restart();
          target.port = gateway.portOf(port);
        },
      });
      told += worker.from(client).length;
    });
  });

  it("has handed over nothing that no dialog told of", async () => {
    // What is under way at its end is handed over or spooled.
    await gateway.end();
    expect(gateway.worker.ledger.length).toBe(told);
  });
});
