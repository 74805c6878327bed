/** The overview of `/stats/outbound`: all its keys stand there always, and what is a rate is a percentage of what was sent. */
import * as z from "zod";

export const overviewSchema = z.object({
  Sent: z.int(),
  Bounced: z.int(),
  SMTPApiErrors: z.int(),
  BounceRate: z.number(),
  SpamComplaints: z.int(),
  SpamComplaintsRate: z.number(),
  Opens: z.int(),
  UniqueOpens: z.int(),
  Tracked: z.int(),
  WithOpenTracking: z.int(),
  WithLinkTracking: z.int(),
  TotalTrackedLinksSent: z.int(),
  TotalClicks: z.int(),
  UniqueLinksClicked: z.int(),
  WithClientRecorded: z.int(),
  WithPlatformRecorded: z.int(),
  WithReadTimeRecorded: z.int(),
});

/** Names as archive/count.ts has them: "Open/first/WebMail/Gmail/unknown". */
export function overviewOf(counts: { name: string; count: number }[]): z.infer<typeof overviewSchema> {
  const named = counts.map(({ name, count }) => ({ parts: name.split("/"), count }));
  /** Of names that begin with these parts, and whose other parts are as `is` wants them. */
  const sum = (begin: string, is: (parts: string[]) => boolean = () => true) => {
    const wanted = begin.split("/");
    return named
      .filter(({ parts }) => wanted.every((part, i) => parts[i] === part) && is(parts))
      .reduce((total, { count }) => total + count, 0);
  };
  const sent = sum("Sent");
  // A refusal was never sent, so it is no share of what was; nor is a complaint a failure to deliver.
  const apart = ["SMTPApiError", "SpamComplaint"];
  const bounced = sum("Bounce", ([, type = ""]) => !apart.includes(type));
  const complaints = sum("Bounce/SpamComplaint");
  const both = sum("Sent/both");
  return {
    Sent: sent,
    Bounced: bounced,
    SMTPApiErrors: sum("Bounce/SMTPApiError"),
    BounceRate: percentage(bounced, sent),
    SpamComplaints: complaints,
    SpamComplaintsRate: percentage(complaints, sent),
    Opens: sum("Open"),
    UniqueOpens: sum("Open/first"),
    Tracked: sent - sum("Sent/none"),
    WithOpenTracking: sum("Sent/opens") + both,
    WithLinkTracking: sum("Sent/links") + both,
    TotalTrackedLinksSent: sum("TrackedLinks"),
    TotalClicks: sum("Click"),
    UniqueLinksClicked: sum("Click/first"),
    WithClientRecorded: sum("Open/first", ([, , , client]) => client !== "unknown"),
    WithPlatformRecorded: sum("Open/first", ([, , platform]) => platform !== "Unknown"),
    WithReadTimeRecorded: sum("Open/first", ([, , , , seconds]) => seconds !== "unknown"),
  };
}

/** Cut to three digits, as the original has it: 64 of 615 is 10.406. */
function percentage(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.floor((part * 100_000) / whole) / 1_000;
}
