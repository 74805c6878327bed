/** What a submission asked to be told by mail (RFC 3461): kept with the message, and read when a recipient's fate is known. */
import type { Notify } from "./ingress.ts";

export interface DsnWish {
  /** Where DSNs go; never "": nobody is told about a message that came from the null reverse-path. */
  reversePath: string;
  ret: "FULL" | "HDRS";
  envid?: string;
  /** By bare lower-case address; only recipients for whom something was asked. */
  recipients: Record<string, { notify: Notify[]; orcpt?: string }>;
}
