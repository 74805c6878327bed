/** The rows of an Outbox's packs in memory: what a shelf does with its store, without a database. A write may be made to fail. */
import { newProgress, type Pack, type PackedMessage } from "../../src/accept/pack.ts";
import { Shelf } from "../../src/accept/shelf.ts";
import type { Store } from "../../src/accept/store.ts";
import { CLAIM_MS } from "../../src/mail/job.ts";

export class Rows {
  readonly #packs = new Map<number, string>();
  /** Packs written, in order. */
  readonly written: number[] = [];
  /** So many of the next writes fail. */
  failures = 0;

  /** A pack of these messages, each to a recipient of its own at the domain. */
  add(...ids: string[]): Pack {
    return this.addTo("x.example", ...ids);
  }

  addTo(domain: string, ...ids: string[]): Pack {
    const messages = ids.map((id) => packedTo(id, `${id}@${domain}`));
    const progress = messages.map((message) => newProgress(message, new Set()));
    const pack = { id: this.#packs.size + 1, messages, progress, hasBody: false };
    this.#packs.set(pack.id, JSON.stringify(pack));
    return pack;
  }

  change(pack: Pack): void {
    this.#packs.set(pack.id, JSON.stringify(pack));
  }

  read(id: number): Pack | undefined {
    const row = this.#packs.get(id);
    return row === undefined ? undefined : (JSON.parse(row) as Pack);
  }

  readonly store = {
    packs: () => [...this.#packs.keys()].flatMap((id) => this.read(id) ?? []).values(),
    pack: (id: number) => this.read(id),
    updatePack: (pack: Pack) => {
      if (this.failures > 0) {
        this.failures--;
        throw new Error("database or disk is full");
      }
      this.written.push(pack.id);
      this.#packs.set(pack.id, JSON.stringify(pack));
    },
    oldClaimsUntil: (now: number) => now + CLAIM_MS,
    claimsBegin: () => undefined,
    changeSuppressions: () => undefined,
    isSuppressed: () => false,
  } as unknown as Store;

  /** As an object that begins has it, which may have granted claims just before. */
  shelf(now = 0): Shelf {
    return new Shelf(this.store, now);
  }
}

/** A message to one. */
export function packedTo(id: string, email: string): PackedMessage {
  return {
    ...{ id, acceptedAt: 1_000, stream: "outbound", subject: "s", tag: "" },
    summary: {
      from: { email: "a@example.com", name: "" },
      ...{ to: [], cc: [], bcc: [], attachments: [], metadata: {}, recipients: [email] },
      ...{ trackOpens: false, trackLinks: "None", sandboxed: false },
    },
    groups: [{ domain: email.split("@")[1] ?? "", recipients: [email] }],
    ...{ fromDomain: "example.com", returnPathDomain: "bounces.example.com", bounceType: "" },
    ...{ giveUpAt: 1_000 + 72 * 3_600_000, body: { offset: 0, length: 10 } },
  };
}
