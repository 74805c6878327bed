/** Rows of data removals. */
import type { Table } from "./row.ts";

let people = 0;

export const removals: Table = {
  "POST /data-removals": {
    body: () => ({ RequestedBy: "me@example.com", RequestedFor: `person${++people}@example.com` }),
    empty: 1300,
    codes: {
      // A thousand that are begun at once would keep the whole system busy.
      1301: "tried in data-removals.test.ts, where nothing is begun",
    },
  },
  "GET /data-removals/:id": {
    ids: async (world, tenant) => {
      const body = { RequestedBy: "me@example.com", RequestedFor: `person${++people}@example.com` };
      return { id: String((await world.make(tenant, "POST", "/data-removals", body)).ID) };
    },
    absent: 1302,
  },
};
