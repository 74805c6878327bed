/**
 * A person is removed, and then a whole server with mail in flight. What is left is looked for where it would lie: in the files of
 * D1, of R2 and of the objects, and through the API; what is not to go is whole.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "./system.ts";

const MESSAGES = 2_000;

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 90_000);
afterAll(() => system.remove());

const account = (method: string, path: string, body?: unknown) =>
  system.api(method, path, body, { "X-Postmark-Account-Token": system.local.accountToken });

async function removed(address: string): Promise<number> {
  const { json } = await account("POST", "/data-removals", {
    RequestedBy: "me@example.com",
    RequestedFor: address,
  });
  expect(json).toMatchObject({ Status: "Pending" });
  const done = async () => (await account("GET", `/data-removals/${json.ID}`)).json.Status === "Done";
  await until(`the removal of ${address} is done`, done, 90_000);
  return Number(json.ID);
}

/** Files of R2 whose bytes have the text. */
function objectsWith(text: string): string[] {
  const folder = join(system.home, "state", "r2");
  return readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.includes(".sqlite"))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => readFileSync(file).includes(text));
}

/** Tables of D1 and of the objects in which some row has the address. Of the index, words that nothing has any more go when it is merged. */
function tablesWith(address: RegExp): string[] {
  const folder = join(system.home, "state");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((f) =>
    f.endsWith(".sqlite"),
  );
  return files.flatMap((file) => {
    const db = new DatabaseSync(join(folder, file), { readOnly: true, readBigInts: true });
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const found = tables
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith("search"))
      .filter((name) =>
        db
          .prepare(`SELECT * FROM "${name}"`)
          .all()
          .some((row) => address.test(textOf(row))),
      );
    db.close();
    return found.map((name) => `${file}: ${name}`);
  });
}

function textOf(row: object): string {
  const texts = Object.values(row).map((v) =>
    v instanceof Uint8Array ? Buffer.from(v).toString() : String(v),
  );
  return texts.join("\n");
}

const send = async (body: Record<string, unknown>) => {
  const { status, json } = await system.api("POST", "/email", {
    From: "sender@example.com",
    Subject: "Hello",
    TextBody: "Hello",
    ...body,
  });
  expect(status).toBe(200);
  return String(json.MessageID);
};
const details = (id: string) => system.api("GET", `/messages/outbound/${id}/details`);
const archived = (id: string) =>
  until("the archive has it", async () => {
    const { json } = await system.api("GET", `/messages/outbound/${id}/dump`);
    return json.Body !== "" && (await system.ledger()).waiting === 0;
  });

describe("a person who is removed", () => {
  it("is found nowhere any more, and messages to others are whole", async () => {
    const to = { To: "ann@person.example", TextBody: "only for Ann Secretname" };
    const alone = await send(to);
    const shared = await send({
      To: "Ann Secretname <ann@person.example>, bob@person.example",
      Subject: "Ann Secretname and Bob",
      TextBody: "to Ann Secretname and Bob",
      Metadata: { user: "secretname-17" },
    });
    const others = await send({ To: "bob@person.example, joann@person.example", TextBody: "only for Bobby" });
    for (const address of ["ann", "bob", "joann"]) await system.arrives(`${address}@person.example`);
    for (const id of [alone, shared, others]) await archived(id);
    const before = await system.ledger();
    expect(tablesWith(/(?<!jo)ann@person\.example/).length).toBeGreaterThan(0);

    await removed("Ann@person.example");

    expect(await details(alone)).toMatchObject({ status: 422, json: { ErrorCode: 701 } });
    const left = await details(shared);
    expect(left).toMatchObject({
      status: 200,
      json: {
        Subject: "",
        Recipients: ["bob@person.example"],
        To: [{ Email: "bob@person.example" }],
        Metadata: {},
      },
    });
    expect(JSON.stringify(left.json)).not.toMatch(/secretname|[^o]ann@/i);
    const whole = await details(others);
    expect(whole.json).toMatchObject({ Recipients: ["bob@person.example", "joann@person.example"] });
    const dump = await system.api("GET", `/messages/outbound/${others}/dump`);
    expect(String(dump.json.Body)).toContain("only for Bobby");
    const found = await system.api(
      "GET",
      "/messages/outbound?count=10&offset=0&recipient=ann@person.example",
    );
    expect(found.json.TotalCount).toBe(0);
    const list = await system.api("GET", "/messages/outbound?count=10&offset=0");
    expect(list.json.TotalCount).toBe(2);
    expect(tablesWith(/(?<!jo)ann@person\.example|secretname/i)).toEqual([]);
    await until("R2 has nothing of it", () => objectsWith("Secretname").length === 0);
    expect(objectsWith("only for Bobby").length).toBeGreaterThan(0);
    const ledger = await system.ledger();
    expect(ledger).toMatchObject({ accepted: before.accepted, delivered: before.delivered, drift: 0 });
  }, 180_000);

  it("gets nothing more of what waits: for a slow server, or for its time", async () => {
    // Deferred for ever, as is all mail to such a name.
    const waiting = await send({ To: "mailbox-full-carol@person.example", TextBody: "for Carol" });
    const later = await send({
      To: "mailbox-full-carol@person.example, bob@person.example",
      TextBody: "later",
      SendAt: new Date(Date.now() + 20 * 86_400_000).toISOString(),
    });
    await removed("mailbox-full-carol@person.example");
    expect((await details(waiting)).status).toBe(422);
    const left = await details(later);
    expect(left.json.Recipients).toEqual(["bob@person.example"]);
    await system.api("DELETE", `/email/scheduled/${later}`);
    const ledger = await system.ledger();
    expect(ledger).toMatchObject({ drift: 0, waiting: 0 });
    expect(ledger.cancelled).toBeGreaterThan(0);
  }, 180_000);
});

describe("a server that is deleted with mail in flight", () => {
  it("goes with all that it has, and the ledger sums", async () => {
    const made = await account("POST", "/servers", { Name: "To be deleted" });
    const [token] = made.json.ApiTokens as string[];
    const id = Number(made.json.ID);
    const before = await system.ledger();
    const as = { "X-Postmark-Server-Token": String(token) };
    for (let at = 0; at < MESSAGES; at += 500) {
      const batch = Array.from({ length: 500 }, (_, n) => ({
        From: "sender@example.com",
        To: `${(at + n) % 2 ? "mailbox-full" : "r"}-${at + n}@d${n % 7}.example`,
        Subject: "Soon gone",
        TextBody: "of the deleted server",
      }));
      expect((await system.api("POST", "/email/batch", batch, as)).status).toBe(200);
    }
    await until("some of it lies in R2", () => objectsWith("of the deleted server").length > 0, 60_000);
    expect((await account("DELETE", `/servers/${id}`)).status).toBe(200);

    const isCancelled = async () => {
      const { accepted, waiting, cancelled } = await system.ledger();
      return waiting === 0 && (accepted ?? 0) >= MESSAGES && (cancelled ?? 0) > 0;
    };
    await until("nothing waits any more", isCancelled, 150_000);
    const ledger = await system.ledger();
    console.log(JSON.stringify({ before, ledger }));
    expect(ledger.drift).toBe(0);
    expect(ledger.accepted).toBe(Number(before.accepted) + MESSAGES);
    await until("R2 has nothing of it", () => objectsWith("of the deleted server").length === 0, 120_000);
    expect((await system.api("GET", "/server", undefined, as)).status).toBe(401);
    // Its Outboxes go when nobody can know its tokens any more, and with them its part of the ledger.
    const isGone = async () => (await system.ledger()).accepted === before.accepted;
    await until("its Outboxes are gone", isGone, 260_000);
  }, 600_000);
});
