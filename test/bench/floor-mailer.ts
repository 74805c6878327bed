/** Runs the mailer once, with what it cost. */
import { BenchChild } from "./child.ts";
import { watch } from "./cpu.ts";
import type { MailerOrder, MailerResult } from "./mailer.ts";
import { type Figures, figures } from "./measure.ts";

/** As many as the gateway may open to one destination here. */
export const CONNECTIONS = 20;

export async function mailerFloor(order: MailerOrder, folder: string): Promise<Figures> {
  const child = new BenchChild("mailer.ts");
  child.send(order);
  await child.next();
  const used = watch({ serving: [child.pid], standIns: [], folder });
  await child.next();
  const cost = used();
  const { sent, seconds, p50, p99, failure } = await child.next<MailerResult>();
  await child.stop();
  return { ...figures(sent, seconds, cost), p50, p99, trouble: failure };
}
