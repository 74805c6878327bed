/**
 * The SMTP load generator: a closed loop of N sessions that submit the same 25 KB and record how long each took from MAIL to its 250.
 * A child of the bench, so that what it costs is never counted as the server's.
 */
import { type MailSpec, rawMessage, recipient } from "./mail.ts";
import { Session, type Way } from "./smtp-session.ts";

export interface SmtpOrder {
  way: Way;
  sessions: number;
  /** A session for each message, or one for as many as there is time for. */
  each: "one" | "many";
  mail: MailSpec;
  warmUpMs: number;
  measureMs: number;
}

/** Opens sessions, logs in and then leaves them alone, until the process ends. */
export interface IdleOrder {
  way: Way;
  idle: number;
}

export interface SmtpResult {
  accepted: number;
  refused: number;
  /** An example of what was refused. */
  refusal: string;
  seconds: number;
  p50: number;
  p99: number;
}

/** After a session that failed: so that a peer which is down is not asked without end. */
const PAUSE_MS = 20;
/** OpenSMTPD's backlog is five. */
const OPENED_AT_ONCE = 4;

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function run({ way, sessions, each, mail, warmUpMs, measureMs }: SmtpOrder): Promise<SmtpResult> {
  const data = Buffer.from(`${rawMessage(mail, 0)}.\r\n`, "latin1");
  const latencies: number[] = [];
  const result: SmtpResult = { accepted: 0, refused: 0, refusal: "", seconds: 0, p50: 0, p99: 0 };
  let number = 0;
  let counting = false;
  let ended = false;

  const fail = (error: unknown) => {
    if (counting && !ended) result.refused++;
    result.refusal ||= String(error);
    return wait(PAUSE_MS);
  };
  const drive = async () => {
    let session: Session | undefined;
    while (!ended) {
      try {
        session ??= await Session.open(way);
        const start = performance.now();
        await session.send(mail.from, recipient(mail, number++), data);
        // What ends in the measured time counts, whenever it began.
        if (counting && !ended) {
          latencies.push(performance.now() - start);
          result.accepted++;
        }
        if (each === "many") continue;
        await session.quit();
        session = undefined;
      } catch (error) {
        session?.close();
        session = undefined;
        await fail(error);
      }
    }
    await session?.quit();
  };
  const running = Promise.all(Array.from({ length: sessions }, drive));
  await wait(warmUpMs);
  counting = true;
  process.send?.({ measuring: true });
  const start = performance.now();
  await wait(measureMs);
  ended = true;
  result.seconds = (performance.now() - start) / 1_000;
  process.send?.({ measuring: false });
  await running;
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { ...result, p50: at(0.5) ?? Number.NaN, p99: at(0.99) ?? Number.NaN };
}

const kept: Session[] = [];

async function idle({ way, idle: count }: IdleOrder): Promise<{ open: number; refusal: string }> {
  let refusal = "";
  let left = count;
  const open = async () => {
    while (left-- > 0)
      try {
        kept.push(await Session.open(way));
      } catch (error) {
        refusal ||= String(error);
      }
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, open));
  return { open: kept.length, refusal };
}

process.on("message", async (order: SmtpOrder | IdleOrder) => {
  process.send?.("idle" in order ? await idle(order) : await run(order));
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
