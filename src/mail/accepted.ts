/** What the gate for mail answers, for each submission. */
export type Accepted =
  | {
      ok: true;
      messageId: string;
      /** Milliseconds since the epoch. */
      submittedAt: number;
      /** Recipients that are suppressed on the stream and will get nothing; lower case. */
      inactive: string[];
    }
  /** Every recipient is suppressed: nothing was accepted. */
  | { ok: false; inactive: string[] };
