/** What a report says, whichever format, version and dialect it came in. Lengths are bounded where the report is read. */

/** RFC 7489 appendix C, RFC 9990. */
export interface AggregateReport {
  kind: "aggregate";
  organization: string;
  email: string;
  extraContact: string;
  externalId: string;
  /** Milliseconds since the epoch. */
  beginsAt: number;
  endsAt: number;
  policy: PublishedPolicy;
  records: AggregateRecord[];
  /** Records that make no sense, and are not among these. */
  skipped: number;
}

/** "" for what is not said. */
export interface PublishedPolicy {
  /** Lower case. */
  domain: string;
  adkim: string;
  aspf: string;
  p: string;
  sp: string;
  /** Gone in RFC 9990. */
  pct: string;
}

export interface AggregateRecord {
  sourceIp: string;
  count: number;
  /** What was done: "none", "quarantine", "reject"; RFC 9990 adds "pass". */
  disposition: string;
  /** Whether each passed for the domain of the From header. */
  dkimAligned: boolean;
  spfAligned: boolean;
  reasons: { type: string; comment: string }[];
  headerFrom: string;
  envelopeFrom: string;
  dkim: AuthResult[];
  spf: AuthResult[];
}

export interface AuthResult {
  domain: string;
  result: string;
  /** Of DKIM. */
  selector?: string;
}

/** RFC 8460 §4. */
export interface TlsReport {
  kind: "tls";
  organization: string;
  contact: string;
  externalId: string;
  beginsAt: number;
  endsAt: number;
  policies: TlsPolicy[];
}

export interface TlsPolicy {
  /** "sts", "tlsa", "no-policy-found". */
  type: string;
  domain: string;
  succeeded: number;
  failed: number;
  failures: { result: string; mxHost: string; count: number }[];
}

export type Report = AggregateReport | TlsReport;

/** `refused` says why, in words for a log or a person. */
export type Read<T> = { ok: T } | { refused: string };

/** Names in the DNS are no longer. */
export const MAX_NAME_CHARACTERS = 255;

/** A name as it is compared: lower case, no final dot, of bounded length. */
export function nameOf(text: string): string {
  return text.trim().toLowerCase().replace(/\.$/, "").slice(0, MAX_NAME_CHARACTERS);
}

/** Whether a name is the domain, or below it. */
export function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
