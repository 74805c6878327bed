/** What is to be removed, as each place that holds some of it is told. */
export type Erasable =
  | { kind: "server" }
  | { kind: "stream"; stream: string }
  /** Lower case. */
  | { kind: "person"; email: string };

/** Of a stream or a person, what was accepted until then (ms): who mails them afterwards does that anew. */
export interface ToErase {
  what: Erasable;
  until: number;
}
