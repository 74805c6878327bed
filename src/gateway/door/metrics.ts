/** What the front door counts, for Prometheus. No address, server or name is a label: there is no end of them. */
import { Counter, Gauge, type Registry } from "prom-client";

export interface DoorMetrics {
  /** Sessions that were let in, by the kind of their listener. */
  sessions: Counter<"kind">;
  open: Gauge;
  /** At the end of DATA: "accepted" (submissions), "received" (inbound), "deferred", "refused", "too slow" and "lost". */
  messages: Counter<"result">;
  bytes: Counter;
  /** "good", "kept" (the Worker was away), "refused", "unknown" (nobody could judge), "revoked" (within a session). */
  logins: Counter<"result">;
  /** Sessions that were not let in or were sent away, by reason. */
  refused: Counter<"reason">;
  handshakeFailures: Counter;
}

export function newDoorMetrics(registry: Registry): DoorMetrics {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: `edgepost_door_${name}_total`, help, labelNames, registers });
  const metrics: DoorMetrics = {
    sessions: counter("sessions", "Sessions that were let in, by the kind of listener", ["kind"]),
    open: new Gauge({ name: "edgepost_door_sessions_open", help: "Sessions that are open", registers }),
    messages: counter("messages", "Messages, by what the client was told", ["result"]),
    bytes: counter("message_bytes", "Of the messages that were taken", []),
    logins: counter("logins", "Logins, by how they ended", ["result"]),
    refused: counter("refused", "Sessions that were refused or cut, by reason", ["reason"]),
    handshakeFailures: counter("handshake_failures", "TLS handshakes that did not come to their end", []),
  };
  // So that an alarm on their increase sees the first one too.
  for (const result of ["accepted", "received", "deferred", "refused"]) metrics.messages.inc({ result }, 0);
  for (const result of ["good", "kept", "refused", "unknown"]) metrics.logins.inc({ result }, 0);
  return metrics;
}
