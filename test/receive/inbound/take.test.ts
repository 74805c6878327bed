/** A received message, to its row, its payload and its event; real D1. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAccount, createServer } from "../../../src/accounts/create.ts";
import { listInbound } from "../../../src/archive/inbound.ts";
import type { MailEvent } from "../../../src/mail/event.ts";
import { type InboundNeeds, takeInbound } from "../../../src/receive/inbound/take.ts";
import { type Databases, NOON, openDatabases } from "../../archive/databases.ts";

let db: Databases;
let serverId: number;
let recipient: string;
const objects = new Map<string, Uint8Array>();
const told: MailEvent[] = [];
let needs: InboundNeeds;

beforeAll(async () => {
  db = await openDatabases();
  const accountId = await createAccount(db.directory, "a", 1);
  const server = await createServer(db.directory, { accountId, name: "s", rawEmailEnabled: true }, 1);
  serverId = server.id;
  recipient = `${server.inboundHash}+Ticket@inbound.mail.example`;
  needs = {
    directory: db.directory,
    archive: () => db.archive,
    putObject: async (key, bytes) => void objects.set(key, bytes),
    putPieces: async (key, length, pieces) => {
      const bytes = Buffer.concat([...pieces]);
      expect(bytes.length).toBe(length);
      objects.set(key, bytes);
    },
    tellEvents: async (_, events) => void told.push(...events),
    log: () => undefined,
    mailDomain: "mail.example",
    dnsUrl: "http://127.0.0.1:1/dns-query",
    fetchDns: () => Promise.reject(new Error("the DNS is away")),
  };
});
afterAll(() => db.dispose());

describe("takeInbound", () => {
  it("files a reply once, with its attachment byte for byte, though the DNS is away", async () => {
    const file = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7) & 255));
    const base64 = file.toString("base64").replace(/.{76}/g, "$&\r\n");
    const raw = Buffer.from(
      `Received: from mx.far.example ([192.0.2.7])\r\n\tby gate\r\nFrom: Ann <ann@far.example>\r\nTo: ${recipient}\r\nSubject: Re: x\r\nIn-Reply-To: <a@b>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThanks!\r\n\r\nOn Mon, 1 Jan 2026, Shop wrote:\r\n> Hello\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n--b--\r\n`,
    );
    const envelope = { reversePath: "ann@far.example", recipients: [{ address: recipient }] };
    const received = {
      ...{
        v: 1 as const,
        envelope,
        via: "gateway" as const,
        remoteAddress: "192.0.2.7",
        session: "",
        receivedAt: NOON,
      },
    } as const;
    const taken = { key: "received/k", received, raw, recipient };
    await takeInbound(needs, taken);
    await takeInbound(needs, taken);
    const filter = { status: "processed" as const };
    const list = await listInbound(db.archive, serverId, { filter, page: { count: 10, offset: 0 } });
    expect(list.messages).toHaveLength(1);
    const [row] = list.messages;
    expect(new Set(told.map((event) => event.id))).toEqual(new Set([row?.id]));
    const payload = JSON.parse(new TextDecoder().decode(objects.get(row?.payload ?? "")));
    expect(payload).toMatchObject({
      From: "ann@far.example",
      MailboxHash: "Ticket",
      StrippedTextReply: "Thanks!",
      Bcc: "",
      RawEmail: raw.toString().replaceAll("\r\n", "\n"),
    });
    expect(Buffer.from(payload.Attachments[0].Content, "base64").equals(file)).toBe(true);
    expect(payload.Headers[0]).toEqual({ Name: "Return-Path", Value: "<ann@far.example>" });
    expect(objects.get(row?.raw ?? "")).toBe(raw);
  });
});
