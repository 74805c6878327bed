/** What of a server's mail waits, by the domain that it waits for: for people. */

export interface WaitingDomain {
  /** Lower-case A-labels. */
  domain: string;
  /** Messages; one to two domains waits for each. */
  waiting: number;
  /** Milliseconds since the epoch: when the first of them is tried next. Absent while one is on its way. */
  nextTryAt?: number;
  /** Why, where that is not each message's own affair. */
  reason?: string;
}
