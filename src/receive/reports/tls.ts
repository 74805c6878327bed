/** SMTP TLS reports (RFC 8460 §4): JSON, whose numbers some write as strings, and whose lists some write as one value. */
import * as z from "zod";
import { nameOf, type TlsPolicy, type TlsReport } from "./report.ts";
import { Unreadable } from "./unreadable.ts";

/** One has a few KB: a policy of each domain, and a line for each kind of failure. */
export const MAX_TLS_CHARACTERS = 4 * 1024 * 1024;
const MAX_POLICIES = 1_000;
const MAX_FAILURES = 10_000;
const MAX_COUNT = 1_000_000_000_000;

const text = z
  .union([z.string(), z.number()])
  .transform((value) => String(value).trim().slice(0, 255))
  .catch("");
const count = z.coerce.number().int().min(0).max(MAX_COUNT).catch(0);

const Failure = z.object({
  "result-type": text,
  "receiving-mx-hostname": text,
  "failed-session-count": count,
});

const Policy = z.object({
  policy: z.object({ "policy-type": text, "policy-domain": text }),
  summary: z
    .object({ "total-successful-session-count": count, "total-failure-session-count": count })
    .catch({ "total-successful-session-count": 0, "total-failure-session-count": 0 }),
  "failure-details": z.array(Failure).max(MAX_FAILURES).nullish(),
});

const Document = z.object({
  "organization-name": text,
  "date-range": z.object({ "start-datetime": z.string(), "end-datetime": z.string() }),
  "contact-info": text,
  "report-id": text,
  policies: z.preprocess(
    (value) => (Array.isArray(value) ? value : [value]),
    z.array(Policy).max(MAX_POLICIES),
  ),
});

/** Throws Unreadable. */
export function readTlsReport(json: string): TlsReport {
  const read = Document.safeParse(parse(json));
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new Unreadable(`JSON that is no TLS report: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { policies, ...of } = read.data;
  const range = of["date-range"];
  const [beginsAt, endsAt] = [Date.parse(range["start-datetime"]), Date.parse(range["end-datetime"])];
  if (!(beginsAt >= 0 && endsAt >= beginsAt)) throw new Unreadable("it does not say which time it is about");
  return {
    kind: "tls",
    organization: of["organization-name"] || "unknown",
    contact: of["contact-info"],
    externalId: of["report-id"] || `${beginsAt / 1000}-${endsAt / 1000}`,
    beginsAt,
    endsAt,
    policies: policies.map(policyOf),
  };
}

function policyOf({ policy, summary, "failure-details": details }: z.infer<typeof Policy>): TlsPolicy {
  return {
    type: policy["policy-type"].toLowerCase(),
    domain: nameOf(policy["policy-domain"]),
    succeeded: summary["total-successful-session-count"],
    failed: summary["total-failure-session-count"],
    failures: (details ?? []).map((failure) => ({
      result: failure["result-type"].toLowerCase(),
      mxHost: nameOf(failure["receiving-mx-hostname"]),
      count: failure["failed-session-count"],
    })),
  };
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The parser's own text would repeat parts of the document; too deep a nesting ends here as well.
    throw new Unreadable("JSON that cannot be parsed");
  }
}
