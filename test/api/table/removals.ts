/** Rows of data removals. */
import type { Table } from "./row.ts";

const MAX_REMOVALS = 1_000;
let people = 0;

export const removals: Table = {
  "POST /data-removals": {
    body: () => ({ RequestedBy: "me@example.com", RequestedFor: `person${++people}@example.com` }),
    empty: 1300,
    codes: {
      1301: async (world) => {
        const account = await world.account(world.unique("account"));
        await world.sql(
          "DIRECTORY",
          `INSERT INTO erasures (kind, account_id, email, requested_by, created_at)
           SELECT 'person', ?1, 'a', 'a', ?2 FROM json_each(?3)`,
          account.accountId,
          Date.now(),
          JSON.stringify(Array.from({ length: MAX_REMOVALS }, (_, i) => i)),
        );
        return { as: account };
      },
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
