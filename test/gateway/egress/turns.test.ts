/** Replies that have come are read before more is begun; and what a kill under load costs: at most a second copy for each connection. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { Turns } from "../../../src/gateway/egress/turns.ts";
import { frame, GatewayProcess, MESSAGE } from "../gateway-process.ts";
import { ScriptedMx } from "../scripted-mx.ts";
import { TestDns } from "../test-dns.ts";

describe("turns", () => {
  it("come in the order of asking, each once", async () => {
    const turns = new Turns();
    const seen: number[] = [];
    await Promise.all(Array.from({ length: 50 }, (_, n) => turns.next().then(() => seen.push(n))));
    expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  it("are taken in several looks at the sockets: what has come is read before all have been", async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(socket, "connect");
    const turns = new Turns();
    let begun = 0;
    const begunWhenRead = once(socket, "data").then(() => begun);
    const all = Array.from({ length: 1_000 }, async () => {
      await turns.next();
      begun++;
    });
    socket.write("echo");
    await Promise.all(all);
    expect(await begunWhenRead).toBeLessThan(1_000);
    socket.destroy();
    server.close();
  });
});

const MESSAGES = 400;
const CONNECTIONS = 20;
const KILLS = 3;

describe("a gateway that is killed under load", () => {
  it("sends no more messages twice than it had connections, and loses none", async () => {
    const dns = await new TestDns().listen();
    dns.domain("good.test", [[10, "mx.good.test", "127.0.0.1"]]);
    const mx = await new ScriptedMx().listen();
    const gateway = new GatewayProcess({ EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port) });
    try {
      const keys = Array.from({ length: MESSAGES }, (_, n) => `m${n}/good.test/1`);
      const body = Buffer.concat(
        keys.map((key, n) =>
          frame({ key, recipients: [`r${n}@good.test`], connections: CONNECTIONS }, MESSAGE),
        ),
      );
      for (let kill = 1; kill <= KILLS; kill++) {
        await gateway.start();
        // Cut by the kill.
        const asked = gateway
          .post(body)
          .then((r) => r.text())
          .catch(() => "");
        const enough = (kill * MESSAGES) / (KILLS + 1);
        while (mx.taken.length < enough) await new Promise((done) => setTimeout(done, 1));
        await gateway.end("SIGKILL");
        await asked;
      }
      await gateway.start();
      const lines = (await (await gateway.post(body)).text()).trim().split("\n");
      expect(lines.length).toBe(MESSAGES);
      const copies = Map.groupBy(mx.taken, (taken) => taken.to[0]);
      const second = mx.taken.length - copies.size;
      console.log(`${KILLS} kills with ${CONNECTIONS} connections: ${second} second copies`);
      expect(copies.size).toBe(MESSAGES);
      expect(second).toBeLessThanOrEqual(KILLS * CONNECTIONS);
    } finally {
      await gateway.end("SIGKILL");
      await mx.stop();
      dns.stop();
    }
  }, 120_000);
});
