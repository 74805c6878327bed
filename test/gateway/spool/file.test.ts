/** A spooled batch as a file: what is written is read, and nothing else is. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DamagedError,
  decodeFile,
  encodeFile,
  openFrame,
  readSpoolFile,
  writeDurably,
} from "../../../src/gateway/spool/file.ts";
import { keyAfter } from "../../../src/gateway/spool/hold.ts";
import { encodeFrame } from "../../../src/mail/frame.ts";
import type { Batch } from "../../../src/mail/ingress.ts";
import { newFolder } from "./spools.ts";

const KEY = "00000000-0000-4000-8000-000000000001";

function fileOf(bodies: Uint8Array[]): Buffer {
  const messages = bodies.map(({ length }, i) => ({
    messageId: `id-${i}`,
    envelope: { reversePath: "ü@example.com", recipients: [{ address: "b@good.test" }] },
    session: "s",
    remoteAddress: "192.0.2.1",
    length,
  }));
  const batch: Batch = { v: 1, key: KEY, serverId: 7, messages };
  const head = { key: KEY, at: 1, messages: bodies.length };
  return Buffer.concat(encodeFile(head, encodeFrame(batch, ...bodies)));
}

const someBodies = fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 5 });

describe("a file", () => {
  it("gives back every message's bytes", async () => {
    await fc.assert(
      fc.asyncProperty(someBodies, async (bodies) => {
        const { head, frame } = decodeFile(fileOf(bodies));
        expect(head).toMatchObject({ key: KEY, at: 1, messages: bodies.length });
        const opened = await openFrame(frame);
        expect(opened.batch.messages.length).toBe(bodies.length);
        expect(opened.bodies.map((b) => [...b])).toEqual(bodies.map((b) => [...b]));
      }),
    );
  });

  it("is damaged when any byte is altered, lost or added, wherever it is", () => {
    const whole = fileOf([Buffer.from("one\r\n"), Buffer.from("two\r\n")]);
    let count = 0;
    for (let at = 0; at < whole.length; at++) {
      const altered = Buffer.from(whole);
      altered[at] = (altered[at] ?? 0) ^ 0x20;
      const cut = whole.subarray(0, at);
      const longer = Buffer.concat([whole.subarray(0, at), Buffer.from("\n"), whole.subarray(at)]);
      for (const bytes of [altered, cut, longer]) {
        expect(() => decodeFile(bytes)).toThrow(DamagedError);
        count++;
      }
    }
    expect(count).toBe(3 * whole.length);
  });

  it("is damaged when it is anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        expect(() => decodeFile(bytes)).toThrow(DamagedError);
      }),
    );
  });

  it("of several parts is written whole, and never over another", async () => {
    const folder = newFolder();
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "x");
    const parts = [Buffer.from("a"), Buffer.alloc(300_000, "b"), new Uint8Array(0), Buffer.from("c")];
    await writeDurably(path, parts);
    expect(readFileSync(path).equals(Buffer.concat(parts))).toBe(true);
    await expect(writeDurably(path, [Buffer.from("other")])).rejects.toThrow("EEXIST");
    expect(readFileSync(path).length).toBe(300_002);
    await expect(readSpoolFile(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("the key of what was refused", () => {
  it("is a UUID, the same for the same batch, and another each time it is refused again", () => {
    const next = keyAfter(KEY);
    expect(next).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(keyAfter(KEY)).toBe(next);
    expect(keyAfter(next)).not.toBe(next);
  });
});
