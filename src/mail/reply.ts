/** What an SMTP server said: RFC 5321 §4.2 reply code, RFC 3463 enhanced status code, and text. */
export interface Reply {
  /** Three digits; 0 when there was no reply at all (the connection failed or closed, DNS failed). */
  code: number;
  /** "5.1.1", or "" when the server gave none. */
  enhanced: string;
  /** Every line's text, joined by a space; control characters removed, 1,000 characters at most. */
  text: string;
}

/** One exchange of a session, for the transcript that an attempt keeps. */
export interface Exchange {
  /** Milliseconds since the epoch. */
  at: number;
  /** The command without its secrets: "RCPT TO:<a@x.example>", "(connect)", "(message)" for the data. */
  command: string;
  reply: Reply;
}

/** "550 5.1.1 no such user", as it is shown to people. */
export function replyText(reply: Reply): string {
  return [reply.code || "", reply.enhanced, reply.text].filter(Boolean).join(" ");
}
