/** Serves floor-worker.ts as `npm start` serves the product: Miniflare, state on disk, a direct socket. A child of the bench. */
import { Miniflare } from "miniflare";
import { bundle } from "../../src/local/bundle.ts";
import { freePort } from "../../src/local/ports.ts";
import { readConfig } from "../../src/local/workerd.ts";

const port = await freePort();
const { compatibility_date, compatibility_flags } = readConfig();
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  defaultPersistRoot: process.env.EDGEPOST_HOME,
  durableObjectsPersist: true,
  workers: [
    {
      name: "floor",
      compatibilityDate: compatibility_date,
      compatibilityFlags: compatibility_flags,
      durableObjects: { FLOOR: { className: "Floor", useSQLite: true } },
      modules: [
        { type: "ESModule", path: "worker.js", contents: await bundle("test/bench/floor-worker.ts") },
      ],
      unsafeDirectSockets: [{ host: "127.0.0.1", port }],
    },
  ],
});
await miniflare.ready;

const stop = async () => {
  await miniflare.dispose();
  process.exit(0);
};
process.on("SIGTERM", stop);
// The bench is gone: nobody else would end this.
process.on("disconnect", stop);
process.send?.({ http: `http://127.0.0.1:${port}` });
