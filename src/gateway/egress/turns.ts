/**
 * Takes turns between beginning and reading. A reply that has come and was not read is an outcome that dies with this process, and a
 * second copy; so a few steps at a time are begun, and before the next ones every socket is looked at.
 */

/** Between two looks: a millisecond of work, about. One alone would make the looks what costs. */
const STEPS = 4;

export class Turns {
  #waiting: (() => void)[] = [];

  /** Resolves when it is one's turn, in the order of asking. */
  next(): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push(go);
      if (this.#waiting.length === 1) this.#look();
    });
  }

  /** What setImmediate calls comes after all sockets that can be read now were, and what it asks for meanwhile after the next look. */
  #look(): void {
    setImmediate(() => {
      for (const go of this.#waiting.splice(0, STEPS)) go();
      if (this.#waiting.length > 0) this.#look();
    });
  }
}
