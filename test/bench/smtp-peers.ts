/** What is measured at the SMTP door: the whole local system and its peers, each started afresh in a folder of its own, one at a time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateFor } from "../../src/local/world/certificates.ts";
import { Postfix, postfixLacks } from "../journeys/postfix.ts";
import { System } from "../journeys/system.ts";
import { BenchChild } from "./child.ts";
import type { Watched } from "./cpu.ts";
import { openSmtpdLacks, startOpenSmtpd } from "./opensmtpd.ts";
import { toStop } from "./started.ts";

export interface Peer extends Watched {
  port: number;
  /** AUTH PLAIN's initial response; "" where it takes mail without. */
  auth: string;
  from: string;
  /** Silence that shows that nothing is left to do: our archive is told ten seconds later of what nobody could deliver. */
  silentMs?: number;
  stop(): Promise<void>;
}

export interface Cell {
  starttls: boolean;
  sessions: number;
  /** Messages: one for each session, or as many as there is time for. */
  each: "one" | "many";
}

export type PeerName = "Edgepost" | "Postfix" | "Postfix, held" | "OpenSMTPD" | "smtp-server";

export interface PeerKind {
  start(): Promise<Peer>;
  takes(cell: Cell): boolean;
  /** Why it can't be measured here; undefined when it can. */
  lacks: string | undefined;
}

export const PEERS: Record<PeerName, PeerKind> = {
  Edgepost: { start: startEdgepost, takes: () => true, lacks: undefined },
  Postfix: { start: () => startPostfix(), takes: () => true, lacks: postfixLacks() },
  "Postfix, held": {
    start: () => startPostfix({ smtpd_recipient_restrictions: "static:HOLD" }),
    takes: ({ sessions, each }) => sessions === 10 && each === "many",
    lacks: postfixLacks(),
  },
  OpenSMTPD: {
    start: startOpenSmtpd,
    // Its backlog is five: of fifty that come at once some would wait for the kernel's retries.
    takes: ({ starttls, sessions }) => !starttls && sessions <= 10,
    lacks: openSmtpdLacks(),
  },
  // Only to show what the protocol itself costs.
  "smtp-server": { start: startDiscard, takes: ({ sessions }) => sessions === 10, lacks: undefined },
};

/** The bench is one address with more sessions than any client should have. */
const LIMITS = { sessionsPerAddress: 5_000, sessionsPerKnownAddress: 5_000, commandsWithoutMail: 10_000 };

const plain = (user: string, password: string) => Buffer.from(`\0${user}\0${password}`).toString("base64");

export async function startEdgepost(): Promise<Peer & { system: System }> {
  const folder = mkdtempSync(join(tmpdir(), "edgepost-bench-"));
  const system = await System.start(folder, {
    GATEWAY_AUTH_IN_CLEAR: "1",
    GATEWAY_DOOR_LIMITS: JSON.stringify(LIMITS),
  }).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  const { smtp, serverToken, from, pid, pids } = system.local;
  return {
    system,
    port: smtp.port,
    auth: plain(serverToken, serverToken),
    from,
    silentMs: 11_000,
    serving: [pid],
    standIns: [pids.world],
    folder,
    stop: toStop(() => system.remove()),
  };
}

/** A certificate like ours: RSA of 2048 bits. */
async function certificate(): Promise<{ folder: string; cert: string; key: string }> {
  const folder = mkdtempSync(join(tmpdir(), "edgepost-peer-"));
  await certificateFor(folder, "peer", ["localhost"]);
  return { folder, cert: join(folder, "peer.pem"), key: join(folder, "peer-key.pem") };
}

/** As Debian has it, but that it delivers to nowhere. */
async function startPostfix(more: Record<string, string> = {}): Promise<Peer> {
  const { folder, cert, key } = await certificate();
  const postfix = await Postfix.start({
    default_transport: "discard:",
    relay_transport: "discard:",
    smtpd_tls_security_level: "may",
    smtpd_tls_cert_file: cert,
    smtpd_tls_key_file: key,
    smtpd_relay_restrictions: "permit_mynetworks, reject",
    // Its limit on one client would be measured, not its speed.
    smtpd_client_connection_count_limit: "0",
    ...more,
  });
  return {
    port: postfix.port,
    auth: "",
    from: "sender@example.com",
    serving: [postfix.pid],
    standIns: [],
    folder: postfix.folder,
    stop: toStop(async () => {
      await postfix.remove();
      rmSync(folder, { recursive: true, force: true });
    }),
  };
}

async function startDiscard(): Promise<Peer> {
  const { folder, cert, key } = await certificate();
  const child = new BenchChild("smtp-discard.ts", { BENCH_CERT: cert, BENCH_KEY: key });
  const stop = toStop(async () => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = await child.next<{ port: number }>();
  return {
    port,
    auth: plain("bench", "bench"),
    from: "sender@example.com",
    serving: [child.pid],
    standIns: [],
    folder,
    stop,
  };
}
