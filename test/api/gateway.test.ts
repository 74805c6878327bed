/** What a gateway is answered about several servers' mail in one request. */
import { randomUUID, timingSafeEqual } from "node:crypto";
import { beforeAll, expect, it } from "vitest";
import { type GatewayNeeds, gatewayRoutes } from "../../src/api/gateway.ts";
import { encodeFrame } from "../../src/mail/frame.ts";
import type { Batch, BatchResult } from "../../src/mail/ingress.ts";
import { formatMessageId } from "../../src/mail/message-id.ts";
import { POLICY } from "./sending.ts";

const SECRET = "a secret for the tests";
const RAW = Buffer.from("From: ann@example.com\r\nSubject: x\r\n\r\nhello\r\n");
/** Its Outbox takes batches, and never says so. */
const SILENT = 9;

const needs: GatewayNeeds = {
  now: Date.now,
  gatewaySecret: SECRET,
  mailDomain: "mail.example.com",
  login: async () => ({ refused: "" }),
  ownDomains: async () => ({ inbound: [], returnPath: [] }),
  isOwnAddress: async () => false,
  policy: async (serverId) => ({ ...POLICY, serverId }),
  acceptBatch: ({ serverId }) => (serverId === SILENT ? new Promise(() => undefined) : Promise.resolve(true)),
  receive: async () => undefined,
  log: () => undefined,
};

// The platform has it there, and Node does not.
beforeAll(() => {
  Object.assign(crypto.subtle, {
    timingSafeEqual: (a: ArrayBuffer, b: ArrayBuffer) =>
      timingSafeEqual(new Uint8Array(a), new Uint8Array(b)),
  });
});

function batchOf(serverId: number): Batch {
  const place = { acceptedAt: Date.now(), region: "local" as const, number: 0 };
  const messageId = formatMessageId(place, crypto.getRandomValues(new Uint8Array(8)));
  const envelope = { reversePath: "a@b.example", recipients: [{ address: "bob@far.example" }] };
  const message = { messageId, envelope, session: "s1", remoteAddress: "192.0.2.1", length: RAW.length };
  return { v: 1, key: randomUUID(), serverId, messages: [message] };
}

it("one server's Outbox that never answers does not keep the answers of the others back", async () => {
  const [silent, other] = [batchOf(SILENT), batchOf(7)];
  const response = await gatewayRoutes(needs).request("http://worker/gateway/ingress", {
    method: "POST",
    headers: { authorization: `Bearer ${SECRET}` },
    body: Buffer.concat([silent, other].map((batch) => encodeFrame(batch, RAW))),
  });
  const lines = (await response.text()).split("\n").filter((line) => line !== "");
  const results = lines.map((line) => JSON.parse(line) as BatchResult);
  expect(results).toEqual([{ key: silent.key }, { key: other.key, results: [{ accepted: true }] }]);
});
