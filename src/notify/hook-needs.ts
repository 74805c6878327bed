/** What telling a hook needs of the world around it; src/wiring/hook.ts makes it from the deployment's bindings. */
import type { HookSettings } from "../accounts/hook-settings.ts";
import type { LoggedEvent } from "../mail/event.ts";
import type { CallNeeds } from "./call.ts";
import type { ReadReply, ReadRequest } from "./log-store.ts";
import type { BounceFacts } from "./payload.ts";

/** The directory, the archive and the event log answer by then, or are away: nothing here waits for ever. */
export const OWN_MS = 10_000;

/** A server's event log, as a hook sees it. */
export interface HookedLog {
  read(request: ReadRequest): Promise<ReadReply>;
  /** Those that are there still. */
  at(seqs: number[]): Promise<LoggedEvent[]>;
  head(): Promise<number>;
  positionAt(ms: number): Promise<number>;
}

export interface HookNeeds extends CallNeeds {
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
  /** undefined when there is no such hook any more. */
  settings(name: string): Promise<HookSettings | undefined>;
  events(serverId: number): HookedLog;
  /** undefined when the archive has none, or none yet. */
  bounce(
    serverId: number,
    of: { messageId: string; email: string; type: string },
  ): Promise<BounceFacts | undefined>;
  /** What came back with it; "" when nothing is kept. */
  bounceContent(serverId: number, id: number): Promise<string>;
  /** What the inbound hook is sent of a message that was received; undefined when it is gone, or waits for somebody to let it pass. */
  inboundPayload(
    serverId: number,
    id: string,
  ): Promise<(() => Promise<ReadableStream<Uint8Array>>) | undefined>;
  inboundTold(serverId: number, id: string, status: "processed" | "failed"): Promise<void>;
}
