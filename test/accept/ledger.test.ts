import { expect, it } from "vitest";
import { Ledger } from "../../src/accept/ledger.ts";
import { noCounts, type Pack } from "../../src/accept/pack.ts";
import { Shelf } from "../../src/accept/shelf.ts";
import type { Store } from "../../src/accept/store.ts";

/** An Outbox that holds so many messages, each in a pack of its own; `looked` counts what was asked of its store. */
function outbox(messages: number) {
  const looked = { ledgers: 0, packs: 0 };
  const pack = (id: number) =>
    ({ id, messages: [{ id: `m${id}`, groups: [] }], progress: [], hasBody: false }) as unknown as Pack;
  const store = {
    packs: () => Array.from({ length: messages }, (_, id) => pack(id)),
    pack(id: number) {
      looked.packs++;
      return pack(id);
    },
    ledger() {
      looked.ledgers++;
      return { accepted: 0, counts: noCounts(), oldestWaitingAt: undefined };
    },
  } as unknown as Store;
  return { ledger: new Ledger(store, new Shelf(store, 0)), looked };
}

it("all messages are looked through for anybody who asks, but not for everybody", () => {
  const { ledger, looked } = outbox(2_000);
  for (let now = 0; now < 800; now++) expect(ledger.report(now)).toMatchObject({ drift: 0 });
  expect(looked.ledgers).toBe(1);
  expect(looked.packs).toBeLessThanOrEqual(2_000);
  ledger.report(800);
  expect(looked.ledgers).toBe(2);
});

it.each([0, 1_000])("when %d are held, the account is of this moment", (messages) => {
  const { ledger, looked } = outbox(messages);
  for (let n = 0; n < 3; n++) ledger.report(5);
  expect(looked.ledgers).toBe(3);
});
