/** Domains of an account: listed, made, changed and deleted. What their DNS says is in domain-dns.ts. */
import * as z from "zod";
import {
  addDomain,
  changeDomain,
  type DomainChange,
  deleteDomain,
  listDomains,
} from "../accounts/domains.ts";
import { isPublicDomain } from "../accounts/public-domains.ts";
import { asciiDomain, printable } from "../mail/address.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { domainDnsEndpoints } from "./domain-dns.ts";
import { domainFlags, readSubdomain, showFlags } from "./domain-fields.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { apiError, type Result, refused } from "./error.ts";
import { afterChange, details, domainOfPath, NOT_FOUND_WHEN, named, showDetails } from "./one-domain.ts";
import { pageParameters } from "./query.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

const MAX_NAME = 255;
const family = "Domains";

const NOTHING = apiError(502, "No update data was provided.");
const SUBDOMAIN_WHEN = {
  511: "A name that is to be below the domain is not",
  521: `It is longer than ${MAX_NAME} characters`,
};

export function domainEndpoints(needs: SettingsNeeds): Endpoint[] {
  return [
    accountEndpoint(
      {
        method: "GET",
        path: "/domains",
        family,
        summary: "Lists the account's domains, by name",
        query: {
          schema: z.object({ ...pageParameters, cursor: cursorParameter(z.tuple([z.string()])).optional() }),
          code: 500,
        },
        response: z.object({
          TotalCount: z.int(),
          Domains: z.array(z.object({ ...named.shape, ...domainFlags.shape })),
          NextCursor: z.string().optional(),
        }),
        errors: { 500: "A paging parameter is wrong" },
      },
      async ({ accountId, query: { count, offset, cursor } }) => {
        const page = { count, offset, after: cursor?.[0] };
        const { total, found } = await settled(listDomains(needs.directory, accountId, page));
        const last = found.length === count ? found.at(-1) : undefined;
        return {
          ok: {
            TotalCount: total,
            Domains: found.map((domain) => ({ Name: domain.name, ...showFlags(domain), ID: domain.id })),
            ...(last ? { NextCursor: formatCursor([last.name]) } : {}),
          },
        };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/domains",
        family,
        summary: "Makes a domain, with keys that sign once their records are seen",
        body: {
          schema: z.object({ Name: z.string().default(""), ReturnPathDomain: z.string().default("") }),
        },
        response: details,
        errors: {
          ...SUBDOMAIN_WHEN,
          503: "The domain is a public mail provider's",
          512: "The account has it already",
          514: "`Name` is missing",
          515: `\`Name\` is longer than ${MAX_NAME} characters`,
          516: "`Name` is no domain",
        },
      },
      async ({ accountId, body }) => {
        const name = readName(body.Name);
        if ("error" in name) return name;
        const field = { field: "ReturnPathDomain", domain: name.ok, code: 511 };
        const returnPath = readSubdomain(body.ReturnPathDomain, field);
        if ("error" in returnPath) return returnPath;
        const returnPathDomain = returnPath.ok ?? undefined;
        const domain = await settled(
          addDomain(
            needs.directory,
            { accountId, name: name.ok, returnPathDomain },
            { deploymentSecret: needs.deploymentSecret, now: needs.now() },
          ),
        );
        return domain
          ? { ok: showDetails(domain, needs) }
          : refused(512, `The domain ${name.ok} already exists on this account.`);
      },
    ),
    accountEndpoint(
      {
        method: "GET",
        path: "/domains/:id",
        family,
        summary: "A domain, with the records that it wants",
        response: details,
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        return "error" in domain ? domain : { ok: showDetails(domain.ok, needs) };
      },
    ),
    accountEndpoint(
      {
        method: "PUT",
        path: "/domains/:id",
        family,
        summary: "Changes where a domain's reverse-paths and tracked links are",
        description: "`null` or an empty text clears a field. What is new is used once it is verified.",
        body: {
          schema: z.object({
            ReturnPathDomain: z.string().optional(),
            CustomTrackingDomain: z.string().optional(),
          }),
          empty: NOTHING,
        },
        response: details,
        errors: { ...NOT_FOUND_WHEN, ...SUBDOMAIN_WHEN, 502: "The body names no field" },
      },
      async ({ accountId, params, body }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        if ("error" in domain) return domain;
        const change = readChange(body, domain.ok.name);
        if ("error" in change) return change;
        await settled(changeDomain(needs.directory, domain.ok, change.ok));
        return afterChange(domain.ok, needs);
      },
    ),
    accountEndpoint(
      {
        method: "DELETE",
        path: "/domains/:id",
        family,
        summary: "Deletes a domain, its keys and its sender signatures",
        description: "Nothing can be sent from it any more, at once.",
        response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        if ("error" in domain) return domain;
        await settled(deleteDomain(needs.directory, domain.ok.id));
        await needs.accountChanged(accountId);
        return { ok: { ErrorCode: 0, Message: `Domain ${domain.ok.name} removed.` } };
      },
    ),
    ...domainDnsEndpoints(needs),
  ];
}

/** Lower-case A-labels. */
function readName(text: string): Result<string> {
  const given = text.trim();
  if (given === "") return refused(514, "The domain's 'Name' is required.");
  if (given.length > MAX_NAME)
    return refused(515, `The domain's 'Name' is limited to ${MAX_NAME} characters.`);
  const name = asciiDomain(given)?.toLowerCase();
  if (!name) return refused(516, `'${printable(given)}' is not a valid domain name.`);
  if (isPublicDomain(name))
    return refused(503, `${name} is a public mail domain, which nobody can send from but its provider.`);
  return { ok: name };
}

/** A field that was sent as null is there, and undefined. */
function readChange(
  body: { ReturnPathDomain?: string; CustomTrackingDomain?: string },
  domain: string,
): Result<DomainChange> {
  const change: DomainChange = {};
  for (const [field, key] of [
    ["ReturnPathDomain", "returnPathDomain"],
    ["CustomTrackingDomain", "customTrackingDomain"],
  ] as const) {
    if (!(field in body)) continue;
    const name = readSubdomain(body[field] ?? "", { field, domain, code: 511 });
    if ("error" in name) return name;
    change[key] = name.ok;
  }
  return Object.keys(change).length > 0 ? { ok: change } : { error: NOTHING };
}
