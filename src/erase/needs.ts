/** What removing needs of the world around it; src/wiring/erase.ts makes it from the deployment's bindings. */
import type { SystemMessage } from "../accounts/system-message.ts";
import type { ToErase } from "../mail/erasure.ts";

/** An Outbox, as this stage sees it. Every method may be called twice. */
export interface ErasingOutbox {
  /** Cancels and forgets; the ids of what is left for now. */
  erase(erase: ToErase): Promise<string[]>;
  /** Its storage goes. Throws while it holds a message. */
  destroy(): Promise<void>;
  changeSuppressions(changes: { stream: string; email: string; removed: boolean }[]): Promise<void>;
}

/** Where mail of a server waits until it becomes messages: its bulk requests, its scheduled messages. */
export interface WaitingMail {
  erase(): Promise<void>;
  /** Nobody mails the person out of it any more; false while some of it is on its way into an Outbox. */
  removePerson(email: string): Promise<boolean>;
}

/** A server's event log. */
export interface ErasingLog {
  /** Whether all was looked at; else to be called again. */
  erase(erase: ToErase): Promise<boolean>;
  /** Its storage goes. */
  destroy(): Promise<void>;
}

/** What tells a hook, and keeps what it told. */
export interface ErasingHook {
  erase(erase: ToErase): Promise<void>;
}

export interface EraseNeeds {
  directory: D1Database;
  archive(serverId: number): D1Database;
  mail: R2Bucket;
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
  outbox(shard: string): ErasingOutbox;
  waitingMail(serverId: number): WaitingMail[];
  events(serverId: number): ErasingLog;
  /** What waits to be recorded of its opens and clicks. */
  seen(serverId: number): { destroy(): Promise<void> };
  /** By its name (accounts/hooks.ts). */
  hook(name: string): ErasingHook;
  /** Throws when the gate for mail did not take it. */
  sendSystemMessage(message: SystemMessage): Promise<unknown>;
}

/** Not done: time was up, or something is left that has to end first. */
export type Outcome = "done" | "not yet";
