/** Plays one dialog in its own connection, step by step, and says where it went another way than written. */
import { checkMessage, type Expected, newExpected, tell } from "./accepted.ts";
import { CREDENTIALS, type FakeWorker } from "./fake-worker.ts";
import { matches } from "./reply-pattern.ts";
import { fill, type Port, type Script, type Step } from "./script.ts";
import { shown, type Target, Wire } from "./wire.ts";

export interface Stage {
  target: Target;
  worker: FakeWorker;
  /** Mail that was spooled is with the Worker in less than this. */
  forwardedMs: number;
  restart(): Promise<void>;
}

export async function play(
  script: Script,
  port: Port,
  value: string | undefined,
  stage: Stage,
): Promise<void> {
  const player = new Player(script, port, value, stage);
  let at = 0;
  try {
    await player.open();
    for (const step of script.steps) {
      at = step.line;
      await player.step(step);
    }
    await player.finish();
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${script.name}:${at}: ${message}\n\n${player.transcript}`);
  } finally {
    await player.leave();
  }
}

class Player {
  readonly #script: Script;
  readonly #port: Port;
  readonly #value: string | undefined;
  readonly #stage: Stage;
  #wire: Wire | undefined;
  /** Sent with what comes next: lines without a reply between them are one packet. */
  #unsent = "";
  /** MessageIDs, in the order of their replies. */
  readonly #queued: string[] = [];
  #accepted = 0;
  #expected: Expected[] = [];

  constructor(script: Script, port: Port, value: string | undefined, stage: Stage) {
    this.#script = script;
    this.#port = port;
    this.#value = value;
    this.#stage = stage;
  }

  get transcript(): string {
    return this.#wire?.transcript ?? "(not connected)";
  }

  get #connected(): Wire {
    if (!this.#wire) throw new Error("not connected");
    return this.#wire;
  }

  async open(): Promise<void> {
    this.#wire = await Wire.open(this.#stage.target, this.#port === "tls");
    if (this.#script.readsGreeting) return;
    const { name } = this.#stage.target;
    await this.#expect([`220 ${name} ESMTP`]);
    if (!this.#port.endsWith("+starttls")) return;
    await this.#ehlo();
    await this.#starttls();
  }

  async leave(): Promise<void> {
    await this.#wire?.leave();
  }

  async step(step: Step): Promise<void> {
    const { verb, times } = step;
    // A message of ten megabytes is a line many times, and is not filled in line by line.
    const isSame = (verb === "C" || verb === "raw") && !step.text.includes("{n}");
    for (let n = 1; n <= (isSame ? 1 : times); n++) {
      const text = fill(step.text, this.#names(n));
      if (verb === "C") this.#unsent += `${text}\r\n`.repeat(isSame ? times : 1);
      else if (verb === "raw") this.#unsent += text.repeat(isSame ? times : 1);
      else await this.#act(verb, text, step);
    }
  }

  async #act(verb: string, text: string, step: Step): Promise<void> {
    await this.#flush();
    const wire = this.#connected;
    switch (verb) {
      case "S":
        return this.#expect([text, ...step.more]);
      case "ehlo":
        return this.#ehlo();
      case "starttls":
        return this.#starttls();
      case "handshake":
        return wire.secure();
      case "auth":
        return wire.send(`AUTH PLAIN ${plain(text)}\r\n`);
      case "quit":
        await wire.send("QUIT\r\n");
        await this.#expect(["221 2.0.0"]);
        return wire.closed();
      case "raw-split":
        return wire.sendByteByByte(text);
      case "raw-until-close":
        return wire.sendUntilClosed(text);
      case "drip": {
        const ms = Number.parseInt(text, 10);
        return wire.drip(text.slice(`${ms}ms`.length), ms);
      }
      case "pause":
        return sleep(Number.parseInt(text, 10));
      case "reconnect":
        await this.#leaveNothing();
        return this.open();
      case "expect-close":
        return wire.closed();
      case "worker":
        if (text === "up") await this.#stage.worker.start();
        else await this.#stage.worker.stop();
        return;
      case "restart":
        await this.#leaveNothing();
        return this.#stage.restart();
      case "accepted":
        await this.#checkMessages();
        return this.#expectAccepted(Number(text));
      case "from":
        this.#expected.push(newExpected(text));
        return;
      default: {
        const last = this.#expected.at(-1);
        if (!last) throw new Error(`"${verb}" comes after "from"`);
        tell(last, verb, text);
      }
    }
  }

  async finish(): Promise<void> {
    await this.#flush();
    await this.#leaveNothing();
    await this.#expectAccepted(this.#accepted);
    await this.#checkMessages();
  }

  #names(n: number): Record<string, string> {
    const names: Record<string, string> = { n: String(n), client: this.#stage.target.client };
    for (const [name, { user, password }] of Object.entries(CREDENTIALS)) {
      names[`plain ${name}`] = plain(name);
      names[`user ${name}`] = base64(user);
      names[`password ${name}`] = base64(password);
    }
    const { each } = this.#script;
    if (each && this.#value !== undefined) names[each.name] = fill(this.#value, names);
    return names;
  }

  async #flush(): Promise<void> {
    const bytes = this.#unsent;
    this.#unsent = "";
    if (bytes !== "") await this.#connected.send(bytes);
  }

  async #expect(pattern: string[]): Promise<void> {
    const lines = await this.#connected.reply();
    const id = /^250 2\.\d+\.\d+ .*queued as (\S+)/.exec(lines[0] ?? "")?.[1];
    if (id) this.#queued.push(id);
    if (matches(pattern, lines)) return;
    throw new Error(`expected ${pattern.join(" / ")}, got ${lines.map(shown).join(" / ")}`);
  }

  async #ehlo(): Promise<void> {
    await this.#connected.send("EHLO client.test\r\n");
    await this.#expect(["250-...", "250"]);
  }

  async #starttls(): Promise<void> {
    await this.#connected.send("STARTTLS\r\n");
    await this.#expect(["220 2.0.0"]);
    await this.#connected.secure();
  }

  /** Says goodbye as a client that is gone; what the gateway has said beyond the script is a failure. */
  async #leaveNothing(): Promise<void> {
    const rest = await this.#connected.leave();
    if (!/^(421 .*\r\n)?$/.test(rest)) throw new Error(`said beyond the script: ${shown(rest)}`);
  }

  async #expectAccepted(count: number): Promise<void> {
    this.#accepted = count;
    const { worker, target, forwardedMs } = this.#stage;
    const endsAt = performance.now() + forwardedMs;
    while (worker.from(target.client).length < count && performance.now() < endsAt) await sleep(20);
    const accepted = worker.from(target.client).length;
    if (accepted !== count)
      throw new Error(`the Worker has ${accepted} messages of this session, not ${count}`);
    const ids = worker.from(target.client).map(({ message }) => message.messageId);
    const submitted = ids.filter((id) => id !== "").sort();
    if (submitted.join() !== this.#queued.toSorted().join())
      throw new Error(`the Worker has ${submitted.join()}, the replies named ${this.#queued.join()}`);
  }

  async #checkMessages(): Promise<void> {
    const { worker, target } = this.#stage;
    const got = worker.from(target.client);
    // Those of one session may reach the Worker in any order; the replies came in that of the session.
    const rank = new Map(this.#queued.map((id, index) => [id, index]));
    got.sort((a, b) => (rank.get(a.message.messageId) ?? 0) - (rank.get(b.message.messageId) ?? 0));
    for (const [index, expected] of this.#expected.entries()) checkMessage(got[index], expected, target);
  }
}

function plain(name: string): string {
  const { user, password } = CREDENTIALS[name] ?? {};
  if (user === undefined) throw new Error(`no credentials named "${name}"`);
  return base64(`\0${user}\0${password}`);
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
