/** `SendAt`: a time with a zone and no other, and at most 30 days ahead. */
import { describe, expect, it } from "vitest";
import { checkSendAt, parseSendAt } from "../../src/api/send-at.ts";
import { MESSAGE, NOW, post, recorder } from "./sending.ts";

const AT = Date.UTC(2026, 1, 17, 12, 25, 1);
const DAY_MS = 86_400_000;

describe("what is a time", () => {
  it.each([
    ["2026-02-17T12:25:01Z", AT],
    ["2026-02-17t12:25:01z", AT],
    [" 2026-02-17T07:25:01-05:00 ", AT],
    ["2026-02-17 17:55:01.417+0530", AT + 417],
    ["2026-02-17T12:25:01,4179999Z", AT + 417],
    ["2026-02-17T07:25:01.4170000-05:00", AT + 417],
    ["2026-02-17T12:25Z", AT - 1_000],
    ["2026-02-18T00:25:01+12:00", AT],
    ["2028-02-29T00:00:00Z", Date.UTC(2028, 1, 29)],
    ["", undefined],
    ["  ", undefined],
  ])("%s", (text, at) => {
    expect(parseSendAt(text)).toEqual({ ok: at });
  });

  it.each([
    "2026-02-17T12:25:01",
    "2026-02-17",
    "2026-02-30T12:25:01Z",
    "2026-02-29T12:25:01Z",
    "2026-13-01T12:25:01Z",
    "2026-02-17T24:00:00Z",
    "2026-02-17T12:60:00Z",
    "2026-02-17T12:25:61Z",
    "2026-02-17T12:25:01+24:00",
    "2026-02-17T12:25:01-05",
    "2026-02-17T12:25:01 EST",
    "Tue, 17 Feb 2026 12:25:01 GMT",
    "1771331101",
    "tomorrow",
    `2026-02-17T12:25:01.${"0".repeat(1_000)}Z`,
  ])("not %s", (text) => {
    expect(parseSendAt(text)).toMatchObject({ error: { code: 300, status: 422 } });
  });

  it("thirty days ahead, and not a moment more", () => {
    expect(checkSendAt(undefined, AT)).toBeUndefined();
    expect(checkSendAt(AT + 30 * DAY_MS, AT)).toBeUndefined();
    expect(checkSendAt(AT + 30 * DAY_MS + 1, AT)).toMatchObject({ error: { code: 300 } });
  });
});

describe("a message with SendAt", () => {
  it("is handed over with its time, and answered with it", async () => {
    const made = recorder();
    const SendAt = new Date(NOW + DAY_MS).toISOString();
    const { status, body } = await post(made, "/email", { ...MESSAGE, sendat: SendAt });
    expect(status).toBe(200);
    expect(body).toMatchObject({ ErrorCode: 0, Message: "OK", SendAt: "2026-02-18T07:25:01.4170000-05:00" });
    expect(made.calls[0]?.submissions[0]?.sendAt).toBe(NOW + DAY_MS);
  });

  it("is answered with the time of now when its own is over, and without any when it has none", async () => {
    const made = recorder();
    const old = await post(made, "/email", { ...MESSAGE, SendAt: "1970-01-01T00:00:00Z" });
    expect(old.body).toMatchObject({ SendAt: "2026-02-17T07:25:01.4170000-05:00" });
    for (const SendAt of [undefined, null, ""])
      expect((await post(made, "/email", { ...MESSAGE, SendAt })).body).not.toHaveProperty("SendAt");
    expect(made.calls.at(-1)?.submissions[0]).not.toHaveProperty("sendAt");
  });

  it("is refused for itself in a batch", async () => {
    const made = recorder();
    const far = { ...MESSAGE, SendAt: new Date(NOW + 31 * DAY_MS).toISOString() };
    const { body } = await post(made, "/email/batch", [far, MESSAGE, { ...MESSAGE, SendAt: "soon" }]);
    expect(body).toMatchObject([{ ErrorCode: 300 }, { ErrorCode: 0 }, { ErrorCode: 300 }]);
    expect(made.calls[0]?.submissions).toHaveLength(1);
    expect((await post(made, "/email", { ...MESSAGE, SendAt: 5 })).body).toMatchObject({ ErrorCode: 403 });
  });
});
