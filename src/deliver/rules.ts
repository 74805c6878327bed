/**
 * Which destination a domain's mail counts to, the object that keeps it and its rule. Domains that share their MX hosts share
 * one destination, so that a provider sees one well-behaved sender: those of providers.ts from the start, others as hosted.ts
 * learns them. Those behind a filter stay apart, each with the filter's rule.
 */
import { PROVIDERS, type Rule } from "./providers.ts";

const EVERYBODY_ELSE: Rule = { connections: 20, perSecond: Number.POSITIVE_INFINITY, tls: "opportunistic" };

const NAME_OF = new Map(
  Object.entries(PROVIDERS).flatMap(([name, { domains }]) =>
    domains.map((domain) => [domain, name] as const),
  ),
);

/** The Destination that stands for a domain: itself, or its provider. */
export function destinationOf(domain: string): string {
  return NAME_OF.get(domain) ?? domain;
}

export function isProvider(destination: string): boolean {
  return Object.hasOwn(PROVIDERS, destination);
}

/** Whether all that the provider takes mail for count to it; else each domain has its rule for itself. */
export function isShared(provider: string): boolean {
  return isProvider(provider) && !PROVIDERS[provider]?.apart;
}

/** The domains of addresses that stand behind a destination from the start. */
export function domainsOf(destination: string): string[] {
  const provider = isProvider(destination) ? PROVIDERS[destination] : undefined;
  return [...new Set([destination, ...(provider?.domains ?? [])])];
}

/** Destinations without an entry here share so many objects. */
const OBJECTS = 32;

/** The name of the object that keeps a destination. */
export function objectOf(destination: string): string {
  if (isProvider(destination)) return destination;
  const hash = [...destination].reduce((h, c) => (Math.imul(h, 31) + (c.codePointAt(0) ?? 0)) >>> 0, 7);
  return `shared/${hash % OBJECTS}`;
}

export function ruleOf(destination: string): Rule {
  return (isProvider(destination) && PROVIDERS[destination]?.rule) || EVERYBODY_ELSE;
}
