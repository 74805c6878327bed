/** Reads complaints: feedback reports (RFC 5965) with what providers take out of them, and the older loops that only forward. */
import { cleanText } from "../smtp/reply-text.ts";
import type { Opened } from "./open-message.ts";
import { returnedHeaders } from "./original.ts";
import { COMPLAINT_SUBJECT } from "./phrases.ts";
import { addressIn, parseFields } from "./report-fields.ts";

/** A report is about one message, and names few. */
const MAX_RECIPIENTS = 50;
/** "redacted@redacted.invalid", "***@x.example", "xxxxx@x.example": whom a provider hides. */
const REDACTED =
  /redact|\*{2,}|x{4,}|^(?:hidden|removed|undisclosed|anonymi[sz]ed)|@(?:hidden|removed)|\.invalid$/i;

export interface ReadComplaint {
  feedbackType: string;
  recipients: string[];
}

export function readComplaint(opened: Opened): ReadComplaint | undefined {
  const part = opened.parts.find((p) => p.type === "message/feedback-report");
  const inText = part ? undefined : /^Feedback-Type:[\s\S]*/im.exec(opened.text)?.[0];
  if (!part && !inText && !isForwarded(opened)) return undefined;
  const text = part?.text ?? inText ?? "";
  const fields = parseFields(text.trimStart());
  // They may come more than once (RFC 5965 §3.2).
  const named = text
    .split("\n")
    .flatMap((line) => /^(?:Original-Rcpt-To|Removal-Recipient):(.*)$/i.exec(line)?.[1] ?? []);
  const hidden = returnedHeaders(opened).flatMap((h) => h.get("x-hmxmroriginalrecipient") ?? []);
  const recipients = [...named, ...hidden].slice(0, MAX_RECIPIENTS).map(addressIn);
  return {
    feedbackType:
      cleanText(fields.get("feedback-type") ?? "")
        .toLowerCase()
        .slice(0, 40) || "abuse",
    recipients: [...new Set(recipients.filter(isShown))],
  };
}

export function isShown(address: string): boolean {
  return address !== "" && !REDACTED.test(address);
}

/** The message itself, under a subject that says what it is: Hotmail's first loop, abuse desks. */
function isForwarded({ subject, parts }: Opened): boolean {
  return (
    COMPLAINT_SUBJECT.test(subject.trim()) &&
    parts.some((p) => /^(?:message\/rfc822|text\/rfc822-headers?)$/.test(p.type))
  );
}
