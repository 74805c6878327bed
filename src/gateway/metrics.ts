/** What the gateway counts, for Prometheus. No address or domain is a label: there is no end of them. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  registry: Registry;
  /** Recipients, by how their attempt ended. */
  outcomes: Counter<"result">;
  /** Keys asked about again: joined, or answered from the journal. */
  repeats: Counter<"kind">;
  /** Attempts of which nobody knows whether the mail was taken. */
  uncertain: Counter;
  seconds: Histogram;
}

export function newMetrics(inHand: () => number): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "edgepost_egress_in_hand",
    help: "Consignments being worked on",
    registers,
    collect() {
      this.set(inHand());
    },
  });
  return {
    registry,
    outcomes: new Counter({
      name: "edgepost_egress_recipients_total",
      help: "Recipients, by how the attempt ended",
      labelNames: ["result"],
      registers,
    }),
    repeats: new Counter({
      name: "edgepost_egress_repeats_total",
      help: "Keys asked about again, and not sent again",
      labelNames: ["kind"],
      registers,
    }),
    uncertain: new Counter({
      name: "edgepost_egress_uncertain_total",
      help: "Attempts that ended behind the final dot without a reply",
      registers,
    }),
    seconds: new Histogram({
      name: "edgepost_egress_seconds",
      help: "From a consignment's arrival to its result",
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600],
      registers,
    }),
  };
}
