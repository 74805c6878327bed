/**
 * One mail transaction: MAIL, RCPT, DATA, the message, in as few round trips as the server allows (RFC 2920). Says how it
 * ended for each recipient. The one thing that can't be known is marked `uncertain`: the final dot was sent, and no reply came
 * (RFC 1047).
 */

import type { Reply } from "../../mail/reply.ts";
import type { Stage } from "../../smtp/meaning.ts";
import { noReply } from "../../smtp/reply-text.ts";
import { exchange } from "../../smtp/transcript.ts";
import { ChannelEnded } from "./channel.ts";
import type { Ending, Envelope, SmtpClient } from "./smtp-client.ts";
import type { Wire } from "./wire.ts";

/** Up to here a message leaves in one write, with its dot. */
const ONE_WRITE_BYTES = 64 * 1024;
const CHUNK_BYTES = 256 * 1024;
/** What would end the command or the path, and so be a command of its own. Quoted local parts may hold spaces. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const UNSAFE = /[\u0000-\u001f\u007f<>]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
const NOT_ASCII = /[^\u0000-\u007f]/;

/** The final dot: from when it leaves until its reply is kept, nobody knows what became of the message. */
export interface Dot {
  /** Resolves when the dot may leave: other messages' replies are read first. */
  turn(): Promise<void>;
  /** Called right before it leaves. */
  leaves(): void;
}

/** Where a transaction stands, for when it is cut off. */
interface Progress {
  stage: Stage;
  dotSent: boolean;
  lastReply: Reply | undefined;
}

export async function transact(
  client: SmtpClient,
  envelope: Envelope,
  wire: Wire,
  dot: Dot,
): Promise<Ending[]> {
  const impossible = cannotBeSent(client, envelope, wire);
  if (impossible) return envelope.recipients.map((recipient) => ({ recipient, ...impossible }));
  const endings = new Map<string, Ending>();
  const end = (recipient: string, stage: Stage, reply: Reply, reason = "", uncertain = false) => {
    if (!endings.has(recipient)) endings.set(recipient, { recipient, stage, reply, reason, uncertain });
  };
  const progress: Progress = { stage: "mail", dotSent: false, lastReply: undefined };
  try {
    await converse(client, envelope, wire, { dot, end, progress });
  } catch (error) {
    if (!(error instanceof ChannelEnded)) {
      // A fault of ours, who knows where: this session is not to be gone on with.
      client.channel.end("a fault");
      throw error;
    }
    const { stage, dotSent, lastReply } = progress;
    // After a 421 the server closes; that is its answer to all that was not answered (RFC 5321 §3.8).
    const is421 = lastReply?.code === 421 && !dotSent;
    const reply = is421 ? lastReply : noReply("4.4.2");
    const reason = is421
      ? ""
      : `${dotSent ? "no reply to the final dot" : `lost at ${stage}`}: ${error.message}`;
    if (!is421) client.log.push(exchange(Date.now(), "(lost)", noReply("4.4.2", error.message)));
    for (const recipient of envelope.recipients) end(recipient, stage, reply, reason, dotSent);
    client.channel.end(error.message);
  }
  return envelope.recipients.map((recipient) => endings.get(recipient) as Ending);
}

interface Course {
  dot: Dot;
  end(recipient: string, stage: Stage, reply: Reply): void;
  progress: Progress;
}

async function converse(client: SmtpClient, envelope: Envelope, wire: Wire, course: Course): Promise<void> {
  const { recipients } = envelope;
  const { channel, timeouts } = client;
  const { end, progress } = course;
  const commands = [mailCommand(client, envelope, wire), ...recipients.map((r) => `RCPT TO:<${r}>`), "DATA"];
  const isPiped = client.extensions.pipelining;
  if (isPiped) channel.write(`${client.needsReset ? "RSET\r\n" : ""}${commands.join("\r\n")}\r\n`);
  const say = async (command: string, stage: Stage, ms = timeouts.command): Promise<Reply> => {
    progress.stage = stage;
    if (!isPiped) channel.write(`${command}\r\n`);
    const reply = await client.reply(command, ms);
    progress.lastReply = reply;
    if (reply.code === 421) throw new ChannelEnded("the server closes");
    return reply;
  };
  if (client.needsReset) await say("RSET", "mail");
  client.needsReset = true;

  const mail = await say(commands[0] as string, "mail");
  const isMailTaken = isPositive(mail);
  if (!isMailTaken) for (const recipient of recipients) end(recipient, "mail", mail);
  if (!isMailTaken && !isPiped) return;
  const accepted: string[] = [];
  for (const recipient of recipients) {
    const reply = await say(`RCPT TO:<${recipient}>`, "rcpt");
    if (isPositive(reply) && isMailTaken) accepted.push(recipient);
    else end(recipient, "rcpt", reply);
  }
  if (accepted.length === 0 && !isPiped) return;
  const go = await say("DATA", "data", timeouts.data);
  if (go.code !== 354) {
    for (const recipient of accepted) end(recipient, "data", go);
    // Neither yes nor no: whoever answers so is not in step with us.
    if (go.code < 400) channel.end("an answer to DATA that is none");
    return;
  }
  if (accepted.length === 0) {
    // RFC 2920 §3.1: DATA was sent along and taken for nobody, so nothing is sent for it.
    channel.write(".\r\n");
    await client.reply("(nothing, for nobody)", timeouts.data);
    return;
  }
  progress.stage = "message";
  const final = await sendData(client, wire, course);
  for (const recipient of accepted) end(recipient, "message", final);
  client.needsReset = !isPositive(final);
  if (final.code === 421) channel.end("the server closes");
}

async function sendData(client: SmtpClient, { bytes }: Wire, { dot, progress }: Course): Promise<Reply> {
  const { channel, timeouts } = client;
  progress.lastReply = undefined;
  let from = 0;
  try {
    while (bytes.length > ONE_WRITE_BYTES && bytes.length - from > CHUNK_BYTES && !channel.hasReply()) {
      const ms = Math.min(timeouts.block, client.deadline - Date.now());
      await channel.push(bytes.subarray(from, from + CHUNK_BYTES), ms);
      from += CHUNK_BYTES;
    }
  } catch (error) {
    // It may have said why before it closed.
    if (!channel.hasReply()) throw error;
  }
  await dot.turn();
  if (channel.hasReply()) {
    // It refuses in the middle. Ending the data properly could not be told from having sent it all.
    const early = await client.reply("(message, cut short)", timeouts.command);
    channel.end("refused in the middle of the message");
    return early.code >= 400 ? early : noReply("4.5.0", early.text);
  }
  channel.insist();
  dot.leaves();
  progress.dotSent = true;
  channel.write(from === 0 ? bytes : bytes.subarray(from));
  client.deadline = Number.MAX_SAFE_INTEGER;
  return client.reply("(message)", timeouts.afterDot);
}

function mailCommand({ extensions }: SmtpClient, envelope: Envelope, wire: Wire): string {
  const size = extensions.size ? ` SIZE=${wire.size}` : "";
  const body = wire.hasEightBit && extensions.eightBitMime ? " BODY=8BITMIME" : "";
  const utf8 = needsUtf8(envelope) ? " SMTPUTF8" : "";
  return `MAIL FROM:<${envelope.reversePath}>${size}${body}${utf8}`;
}

/** What would be mangled or refused, found out without sending it: as final as the server's own refusal would be. */
function cannotBeSent(
  { extensions, host }: SmtpClient,
  envelope: Envelope,
  wire: Wire,
): Omit<Ending, "recipient"> | undefined {
  const no = (enhanced: string, reason: string): Omit<Ending, "recipient"> => ({
    stage: "mail",
    reply: noReply(enhanced),
    reason,
    uncertain: false,
  });
  if (UNSAFE.test(envelope.reversePath) || envelope.recipients.some((r) => UNSAFE.test(r)))
    return no("5.1.3", "an address holds characters that no address can have");
  if (wire.hasBareLineEnd)
    return no("5.6.0", "the message has a CR or LF that stands alone (RFC 5321 §2.3.8)");
  if (extensions.maxSize > 0 && wire.size > extensions.maxSize)
    return no("5.3.4", `${wire.size} bytes are more than the ${extensions.maxSize} that ${host} takes`);
  if (wire.hasEightBit && !extensions.eightBitMime)
    return no("5.6.3", `${host} takes no 8-bit content, and the signed message can't be converted`);
  if (needsUtf8(envelope) && !extensions.smtpUtf8)
    return no("5.6.7", `${host} takes no internationalised address`);
  return undefined;
}

function needsUtf8({ reversePath, recipients }: Envelope): boolean {
  return NOT_ASCII.test(reversePath) || recipients.some((r) => NOT_ASCII.test(r));
}

function isPositive({ code }: Reply): boolean {
  return code >= 200 && code <= 299;
}
