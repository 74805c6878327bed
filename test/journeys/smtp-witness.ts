/** What the SMTP journeys ask of the world once a client has had its 250: the bytes that arrived, who signed them, and how often. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authenticate } from "mailauth";
import type { InboxMessage, System } from "./system.ts";

export const has = (program: string) => spawnSync("which", [program]).status === 0;

export interface Witness {
  messageId: string;
  to: string[];
  receivedAt: number;
  repliedAt: number | null;
}

/** Every message of the inbox, oldest first. */
export async function witness(system: System): Promise<Witness[]> {
  const text = await (await fetch(`${system.local.world.http}/inbox/witness`)).text();
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Witness);
}

export async function rawOf(system: System, { id }: InboxMessage): Promise<Buffer> {
  const response = await fetch(`${system.local.world.http}/inbox/${id}/raw`);
  return Buffer.from(await response.arrayBuffer());
}

/** TXT records of the local world, by name. */
async function textRecords(system: System): Promise<Map<string, string>> {
  const answer = (await (await fetch(`${system.local.world.http}/dns`)).json()) as Record<string, string[]>;
  const found = new Map<string, string>();
  for (const [key, values] of Object.entries(answer)) {
    const [name, type] = key.split(" ");
    if (name && type === "TXT" && values[0]) found.set(name.toLowerCase(), values[0]);
  }
  return found;
}

/** The verdict on each signature, by mailauth. */
export async function signatures(system: System, raw: Buffer): Promise<string[]> {
  const records = await textRecords(system);
  const { dkim } = await authenticate(raw, {
    ip: "127.0.0.1",
    helo: "gateway.example.com",
    sender: "",
    resolver: async (name: string, type: string) => {
      const found = type === "TXT" ? records.get(name.toLowerCase()) : undefined;
      if (!found) throw Object.assign(new Error("ENODATA"), { code: "ENODATA" });
      return [[found]];
    },
  });
  return dkim.results.map((r) => r.status.result);
}

/** What OpenDKIM says of it. */
export async function openDkim(system: System, raw: Buffer): Promise<string> {
  const keys = [...(await textRecords(system))].filter(([name]) => name.includes("_domainkey"));
  const folder = mkdtempSync(join(tmpdir(), "opendkim-"));
  writeFileSync(join(folder, "keys"), keys.map(([name, value]) => `${name} ${value}\n`).join(""));
  writeFileSync(join(folder, "conf"), `TestDNSData ${join(folder, "keys")}\nMode v\n`);
  writeFileSync(join(folder, "mail"), raw);
  const run = spawnSync("opendkim", ["-x", join(folder, "conf"), "-vv", "-t", join(folder, "mail")], {
    encoding: "utf8",
  });
  rmSync(folder, { recursive: true });
  return `${run.stdout}${run.stderr}`;
}

/** One figure of the gateway's metrics; NaN when there is none of that name. */
export async function gatewayMetric(system: System, name: string): Promise<number> {
  const text = await (await fetch(`${system.local.gateway.http}/metrics`)).text();
  const line = text.split("\n").find((l) => l.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1) ?? Number.NaN);
}
