/** One accepted submission, as it is known from its acceptance to the end of its retention. Plain values only. */
export interface Mailbox {
  email: string;
  name: string;
}

export type Tracking = "None" | "HtmlAndText" | "HtmlOnly" | "TextOnly";

/** What the composer needs beside ids and time: already validated, addresses already parsed. */
export interface Submission {
  from: Mailbox;
  to: Mailbox[];
  cc: Mailbox[];
  bcc: Mailbox[];
  replyTo: Mailbox[];
  subject: string;
  /** "" when absent; one of them is not. */
  htmlBody: string;
  textBody: string;
  tag: string;
  headers: { name: string; value: string }[];
  metadata: Record<string, string>;
  attachments: Attachment[];
  trackOpens: boolean;
  trackLinks: Tracking;
  stream: string;
  /** Not before this, ms since the epoch; absent for at once. */
  sendAt?: number;
}

export interface Attachment {
  name: string;
  /** "image/png"; never empty. */
  contentType: string;
  /** Base64 without line breaks. */
  content: string;
  /** Without "cid:" and angle brackets; "" for a plain attachment. */
  contentId: string;
}
