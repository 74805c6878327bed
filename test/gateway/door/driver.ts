/** A door in a process of its own, for tests that take something away from the process. Says its ports, and ends with its parent. */
import { newDoor } from "./doors.ts";
import { FakeWorker } from "./fake-worker.ts";

const fake = await new FakeWorker().start();
const { ports } = await newDoor(fake, { limits: { sessionsPerAddress: 1_000 } });
process.stdout.write(`${JSON.stringify(ports)}\n`);
process.stdin.on("end", () => process.exit(0)).resume();
