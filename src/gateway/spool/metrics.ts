/** What the spool counts, for Prometheus. Nothing that names a server or a message is a label: there is no end of them. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { SpoolState } from "./spool.ts";

export type Way = "direct" | "spooled" | "forwarded" | "held" | "damaged";

export interface SpoolMetrics {
  batches: Counter<"way">;
  messages: Counter<"way">;
  /** Requests to the Worker, from the first byte to the whole answer. */
  seconds: Histogram;
  batchMessages: Histogram;
  /** Batches that the disk did not take. */
  failures: Counter<"why">;
}

export function newSpoolMetrics(registry: Registry, state: () => SpoolState): SpoolMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, value: (now: SpoolState) => number) => {
    new Gauge({
      name: `edgepost_${name}`,
      help,
      registers,
      collect() {
        this.set(value(state()));
      },
    });
  };
  gauge("spool_waiting_batches", "Batches on disk that wait for the Worker", (s) => s.waiting.batches);
  gauge("spool_waiting_messages", "Messages in them", (s) => s.waiting.messages);
  gauge("spool_held_batches", "Batches that wait for a person", (s) => s.held.batches);
  gauge("spool_damaged_batches", "Files that are not what was written", (s) => s.damaged.batches);
  gauge("spool_bytes", "Of all files of the spool", (s) => s.bytes);
  gauge("spool_oldest_seconds", "Age of the oldest batch that waits", (s) => s.oldestSeconds);
  gauge("spool_writable", "1 when the disk takes batches", (s) => Number(s.isWritable && s.hasRoom));
  gauge("intake_requests_in_flight", "Requests to the Worker with new mail", (s) => s.inFlight);
  gauge("intake_bytes_in_hand", "Messages without a receipt yet", (s) => s.bytesInHand);
  gauge("worker_up", "1 unless the Worker is known to be away", (s) => Number(s.isWorkerUp));
  const metrics: SpoolMetrics = {
    batches: new Counter({
      name: "edgepost_intake_batches_total",
      help: "Batches, by what became of them",
      labelNames: ["way"],
      registers,
    }),
    messages: new Counter({
      name: "edgepost_intake_messages_total",
      help: "Messages, by what became of them",
      labelNames: ["way"],
      registers,
    }),
    seconds: new Histogram({
      name: "edgepost_intake_hand_over_seconds",
      help: "Requests with new mail to the Worker, until their answer",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    batchMessages: new Histogram({
      name: "edgepost_intake_batch_messages",
      help: "Messages in a batch",
      buckets: [1, 2, 4, 8, 16, 32, 64],
      registers,
    }),
    failures: new Counter({
      name: "edgepost_spool_failures_total",
      help: "Batches that the disk did not take: it was full, or there was an error",
      labelNames: ["why"],
      registers,
    }),
  };
  // So that an alarm on their increase sees the first one too.
  for (const way of ["held", "damaged"]) metrics.batches.inc({ way }, 0);
  for (const why of ["full", "error"]) metrics.failures.inc({ why }, 0);
  return metrics;
}

export function countBatch(metrics: SpoolMetrics, way: Way, messages: number): void {
  metrics.batches.inc({ way });
  metrics.messages.inc({ way }, messages);
}
