/** Tests run in Node and drive real processes, so they share the machine's two cores and take their time. */
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { LongFirst } from "./test/long-first.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Only there so that a test which hangs ends: nothing that is slow on a busy machine is to fail by them.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // As many as there are cores: with three whole systems at once, those that are killed and started again took minutes longer.
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    // Whole systems are started again and again; Node keeps what it compiled for them.
    env: { NODE_COMPILE_CACHE: resolve(import.meta.dirname, "node_modules/.cache/edgepost/compiled") },
    reporters: ["default"],
  },
});
