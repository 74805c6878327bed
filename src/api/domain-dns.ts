/** What the DNS says of a domain, and new keys for it: the endpoints below one domain's path. */
import * as z from "zod";
import {
  type CheckNeeds,
  checkDkim,
  checkReturnPath,
  checkTracking,
  rotateKeys,
} from "../accounts/domain-checks.ts";
import type { Domain } from "../accounts/domains.ts";
import { looked, showFlags, showSpf } from "./domain-fields.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { refused } from "./error.ts";
import { afterChange, details, domainOfPath, NOT_FOUND_WHEN } from "./one-domain.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

const family = "Domains";

export function domainDnsEndpoints(needs: SettingsNeeds): Endpoint[] {
  const check = (path: string, summary: string, look: (domain: Domain, n: CheckNeeds) => Promise<void>) =>
    accountEndpoint(
      {
        method: "PUT",
        path: `/domains/:id/${path}`,
        family,
        summary,
        description:
          "Records that are not there are no error. When the DNS cannot be asked it is 100, and nothing changes.",
        response: details,
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        if ("error" in domain) return domain;
        await looked(look(domain.ok, needs));
        return afterChange(domain.ok, needs);
      },
    );

  return [
    check("verifydkim", "Looks for the records of the domain's keys", checkDkim),
    check("verifyreturnpath", "Looks for the alias of the return path", checkReturnPath),
    check("verifycustomtracking", "Looks for the alias of the domain for tracked links", checkTracking),
    accountEndpoint(
      {
        method: "POST",
        path: "/domains/:id/verifyspf",
        family,
        summary: "Says what an SPF record may include; nothing needs to be verified",
        response: z.object({ SPFVerified: z.boolean(), SPFHost: z.string(), SPFTextValue: z.string() }),
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        if ("error" in domain) return domain;
        const { SPFVerified } = showFlags(domain.ok);
        return { ok: { SPFVerified, ...showSpf(domain.ok, needs.mailDomain) } };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/domains/:id/rotatedkim",
        family,
        summary: "Makes new keys, which take over once their records are seen",
        response: details,
        errors: { ...NOT_FOUND_WHEN, 505: "New keys wait for their records already" },
      },
      async ({ accountId, params }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        if ("error" in domain) return domain;
        if (!(await settled(rotateKeys(domain.ok, needs))))
          return refused(505, "This DKIM is already being renewed.");
        return afterChange(domain.ok, needs);
      },
    ),
  ];
}
