/** The pure parts of the MX: which behaviour an address asks for, and when a domain is too busy. */
import { describe, expect, it } from "vitest";
import { BEHAVIOURS, behaviourOf, THROTTLE } from "../../../src/local/world/behaviours.ts";
import { fieldOf, headerOf, messageIdOf, textOf } from "../../../src/local/world/header.ts";
import { Throttle } from "../../../src/local/world/throttle.ts";

describe("behaviourOf", () => {
  it.each(BEHAVIOURS)("%s: with anything behind it, in any case", (name) => {
    for (const local of [name, `${name}-17`, `${name}+tag`, name.toUpperCase()])
      expect(behaviourOf(`${local}@x.example`)).toBe(name);
  });

  it.each(["you@x.example", "my-drop@x.example", "you@drop.example", "dro@x.example"])(
    "accepts for %s",
    (address) => {
      expect(behaviourOf(address)).toBe("accept");
    },
  );
});

describe("Throttle", () => {
  const session = (id: string, transaction = 1) => ({ id, transaction });

  it("counts connections of a domain until they close", () => {
    const throttle = new Throttle();
    const isTooMuch = (id: string) => throttle.isTooMuch("a.example", session(id), 0);
    const ids = Array.from({ length: THROTTLE.connections }, (_, i) => `s${i}`);
    expect(ids.map(isTooMuch)).not.toContain(true);
    expect(isTooMuch("more")).toBe(true);
    expect(throttle.isTooMuch("b.example", session("more"), 0)).toBe(false);
    throttle.closed("more");
    throttle.closed("s0");
    expect(isTooMuch("next")).toBe(false);
  });

  it("counts messages in any second, and a message with many recipients once", () => {
    const throttle = new Throttle();
    const arrive = (transaction: number, now: number) =>
      throttle.isTooMuch("a.example", session("s", transaction), now);
    for (let i = 1; i <= THROTTLE.messagesPerSecond; i++) {
      expect(arrive(i, i)).toBe(false);
      expect(arrive(i, i)).toBe(false);
    }
    expect(arrive(11, 500)).toBe(true);
    expect(arrive(12, 1_000)).toBe(true);
    expect(arrive(13, 1_001)).toBe(false);
    expect(arrive(14, 1_001)).toBe(true);
  });
});

describe("header fields", () => {
  const raw = Buffer.from(
    "SUBJECT : a\r\n b\r\nX-Subject: no\r\nMessage-Id:\t<1@x>\r\n\r\nSubject: body\r\n",
  );

  it("reads folded fields by name in any case, and never the body", () => {
    const header = headerOf(raw);
    expect(textOf(header, "Subject")).toBe("a b");
    expect(messageIdOf(header)).toBe("1@x");
    expect(fieldOf(header, "Date")).toBe("");
  });

  it("survives a message without a body or a header", () => {
    expect(fieldOf(headerOf(Buffer.from("Subject: only")), "Subject")).toBe("only");
    expect(messageIdOf(headerOf(Buffer.alloc(0)))).toBe("");
  });
});
