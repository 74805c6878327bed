/**
 * `node src/gateway/spool/command.ts`: what a person does with the spool by hand. Works beside a gateway that runs, which sees a
 * retry within seconds; and alone, when it is to be done before a start. Bodies are shown only when they are asked for.
 */
import { join } from "node:path";
import { type Reply, replyText } from "../../mail/reply.ts";
import { openFrame, readSpoolFile } from "./file.ts";
import { type Entry, Folder, newEntry, PLACES, type Place, spoolFolder } from "./folder.ts";

const USAGE = `node src/gateway/spool/command.ts <command>, with GATEWAY_STATE or EDGEPOST_HOME as the gateway has it

  list                  what waits, is held for a person, or is damaged
  show <key> [--raw]    envelopes and replies of a batch; with --raw, the messages themselves
  retry <key>           a batch that is held waits again
  retry --all           all of them
`;

/** Longer than the Worker remembers which batches it has: see accept/. */
const REMEMBERED_MS = 7 * 24 * 3_600_000;

interface Found extends Entry {
  place: Place;
}

async function* find(folder: Folder): AsyncGenerator<Found> {
  for (const place of PLACES) for await (const entry of folder.entries(place)) yield { ...entry, place };
}

async function list(folder: Folder): Promise<void> {
  console.log("PLACE    AGE        BATCH                                 SERVER   MESSAGES       BYTES  WHY");
  let count = 0;
  for (const place of PLACES) {
    // A line at a time and in no order, for what waits may be a million; what is held is short, and sorted.
    const entries = folder.entries(place);
    for await (const entry of place === "waiting" ? entries : await sorted(entries)) {
      count++;
      const columns = [
        place.padEnd(8),
        age(Date.now() - entry.at).padEnd(10),
        entry.key.padEnd(37),
        entry.group.padEnd(8),
        String(entry.messages).padStart(8),
        String(entry.bytes).padStart(11),
        ` ${await why(folder, place, entry)}`,
      ];
      console.log(columns.join(" ").trimEnd());
    }
  }
  console.log(`${count} ${count === 1 ? "batch" : "batches"}`);
}

/** Of what is held or damaged, which is little. */
async function sorted(entries: AsyncGenerator<Entry>): Promise<Entry[]> {
  const all: Entry[] = [];
  for await (const entry of entries) all.push(entry);
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function why(folder: Folder, place: Place, { name }: Entry): Promise<string> {
  if (place === "waiting") return "";
  try {
    const { refused } = (await readSpoolFile(folder.pathOf(place, name))).head;
    const [reply] = refused ?? [];
    return reply ? `refused: ${replyText(reply)}` : "its age";
  } catch (error) {
    // Damaged, or gone since its name was read.
    return error instanceof Error ? error.message : String(error);
  }
}

async function show(folder: Folder, key: string, isRaw: boolean): Promise<void> {
  const found = await only(folder, key);
  const { head, frame } = await readSpoolFile(folder.pathOf(found.place, found.name));
  const { batch, bodies } = await openFrame(frame);
  if (isRaw) {
    for (const body of bodies) process.stdout.write(body);
    return;
  }
  const refused: readonly Reply[] = head.refused ?? [];
  const messages = batch.messages.map((message, i) => {
    const reply = refused[i];
    return { ...message, ...(reply ? { refused: replyText(reply) } : {}) };
  });
  const taken = new Date(head.at).toISOString();
  console.log(JSON.stringify({ place: found.place, key, server: found.group, taken, messages }, null, 2));
}

async function retry(folder: Folder, key: string): Promise<void> {
  const all = await sorted(folder.entries("held"));
  const held = all.filter((entry) => key === "--all" || entry.key === key);
  if (held.length === 0 && key !== "--all") throw new Error(`No batch ${key} is held.`);
  for (const entry of held) {
    // Unless the Worker refused it, it may have the batch already, and has forgotten that by now.
    const { head } = await readSpoolFile(folder.pathOf("held", entry.name));
    if (!head.refused && Date.now() - head.at > REMEMBERED_MS)
      console.log(
        `${entry.key}: over seven days old; if the Worker had it after all, it is sent a second time`,
      );
    const { name } = newEntry({ ...entry, at: Date.now() });
    await folder.move("held", "waiting", entry.name, name);
    console.log(`${entry.key}: waits again`);
  }
  console.log(`${held.length} ${held.length === 1 ? "batch" : "batches"}`);
}

async function only(folder: Folder, key: string): Promise<Found> {
  for await (const entry of find(folder)) if (entry.key === key) return entry;
  throw new Error(`No batch ${key} is in the spool.`);
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days}d${Math.floor((seconds % 86_400) / 3_600)}h`;
  if (hours) return `${hours}h${Math.floor((seconds % 3_600) / 60)}m`;
  return minutes ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

async function main([command, ...rest]: string[]): Promise<void> {
  // config.ts wants all that a gateway needs; this needs only to know where its state is.
  const { GATEWAY_STATE, EDGEPOST_HOME } = process.env;
  const folder = new Folder(spoolFolder(GATEWAY_STATE ?? join(EDGEPOST_HOME ?? ".edgepost", "gateway")));
  const [key] = rest.filter((word) => word !== "--raw");
  if (command === "list") return list(folder);
  if (command === "show" && key !== undefined) return show(folder, key, rest.includes("--raw"));
  if (command === "retry" && key !== undefined) return retry(folder, key);
  console.error(USAGE);
  process.exitCode = 2;
}

// A pipe that is closed early, as by `head`, is no fault.
process.stdout.on("error", () => process.exit(0));
main(process.argv.slice(2)).catch((error: NodeJS.ErrnoException) => {
  console.error(error.code === "ENOENT" ? `There is no spool here: ${error.message}` : error.message);
  process.exitCode = 1;
});
