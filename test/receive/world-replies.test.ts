/** What the local world answers is read as what it is: the same shapes go through the whole pipeline in its tests. */
import { describe, expect, it } from "vitest";
import { repliesTo } from "../../src/local/world/replies.ts";
import { readReport } from "../../src/receive/read-report.ts";
import { MESSAGE_ID } from "./corpus.ts";

const RETURN_PATH = `b-${MESSAGE_ID.replaceAll("-", "")}-0f1e2d3c4b5a6978@bounces.mail.example`;

async function answerOf(recipient: string) {
  const header = [
    `Return-Path: <${RETURN_PATH}>`,
    "From: Shop <shop@sender.example>",
    `To: ${recipient}`,
    "Subject: Your receipt",
    `Message-ID: <${MESSAGE_ID}@mail.example>`,
    `X-PM-Message-Id: ${MESSAGE_ID}`,
  ];
  const [answer] = await repliesTo({
    receivedAt: 1_763_460_721_000,
    envelope: { from: RETURN_PATH, to: [recipient] },
    tls: true,
    helo: "out.mail.example",
    raw: Buffer.from(`${header.join("\r\n")}\r\n\r\nThank you.\r\n`),
  });
  if (!answer) throw new Error(`${recipient} answers nothing`);
  return readReport(answer.raw, { reversePath: answer.envelope.from, messageId: "" });
}

describe("answers of the local world", () => {
  it("late-bounce@ is a hard bounce of that recipient", async () => {
    expect(await answerOf("late-bounce@far.example")).toMatchObject({
      kind: "dsn",
      recipients: [{ address: "late-bounce@far.example", type: "HardBounce", status: "5.1.1" }],
      original: { messageId: MESSAGE_ID, by: "header" },
    });
  });

  it("complain@ is a complaint of that recipient", async () => {
    expect(await answerOf("complain@far.example")).toMatchObject({
      kind: "complaint",
      feedbackType: "abuse",
      recipients: ["complain@far.example"],
      original: { messageId: MESSAGE_ID, returnPath: RETURN_PATH },
    });
  });

  it("out-of-office@ is an automatic reply in our message's thread", async () => {
    expect(await answerOf("out-of-office@far.example")).toMatchObject({
      kind: "auto-reply",
      original: { messageId: MESSAGE_ID, by: "thread" },
    });
  });

  it("reply@ is a person's answer, and no report", async () => {
    expect(await answerOf("reply@far.example")).toMatchObject({ kind: "other" });
  });
});
