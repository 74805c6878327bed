/**
 * `GET /health/dns`: the DKIM records that the deployment's own mail domain wants, which only the deployment knows. Ours, not Postmark's;
 * no token, since all of it is to be public. docs/dns.md has the other records.
 */
import { Hono } from "hono";
import { type SystemServerNeeds, systemDomain, systemServer } from "../accounts/system-server.ts";
import { settled } from "./settings-needs.ts";

export function ownDnsRoutes(needs: SystemServerNeeds): Hono {
  const app = new Hono();
  app.get("/health/dns", async (c) => {
    await settled(systemServer(needs));
    const keys = (await settled(systemDomain(needs)))?.keys ?? [];
    const records = keys
      .filter((key) => key.state === "active")
      .map(({ selector, dnsRecord }) => ({
        name: `${selector}._domainkey.${needs.mailDomain}`,
        type: "TXT",
        value: dnsRecord,
      }));
    return c.json({ records });
  });
  return app;
}
