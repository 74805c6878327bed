/** `/destinations`, ours: what a server's mail waits for, why and since when; and a word that it is worth trying now. */
import * as z from "zod";
import type { DestinationState } from "../deliver/destination.ts";
import { destinationOf, domainsOf } from "../deliver/rules.ts";
import { asciiDomain } from "../mail/address.ts";
import type { WaitingDomain } from "../mail/waiting.ts";
import { destinationJson, destinationSchema } from "./destination-json.ts";
import { accountEndpoint, type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, Unavailable } from "./error.ts";
import { pageParameters } from "./query.ts";

export interface DestinationsNeeds {
  now(): number;
  /** Domains that mail of the server waits for, perhaps several times; of these only, when they are given. */
  waitingDomains(serverId: number, request: Request, only?: string[]): Promise<WaitingDomain[]>;
  /** The same for these domains, over all servers of the account. */
  waitingOfAccount(accountId: number, domains: string[]): Promise<WaitingDomain[]>;
  /** How destinations are treated now. */
  destinations(names: string[]): Promise<DestinationState[]>;
  /** These destinations may be tried now, and the account's mail for the domains goes to try them. */
  resumeDestinations(accountId: number, names: string[], domains: string[]): Promise<void>;
}

const BAD_QUERY = 700;
const NONE_WAITS = apiError(1490, "No mail waits for the provided 'Destination'.");
const family = "Destinations";
const path = "/destinations";

const DESCRIPTION = `A destination is a domain, or a large provider by the name of one of its domains (\`outlook.com\` for \`hotmail.com\` too).

- \`State\`: \`Open\`; \`SlowedDown\`, since it said that mail came too fast, until it has taken mail for a while; \`Stopped\`, since it could not
  be reached or took nothing; \`Probing\`, when one message tries it.
- \`Reason\` and \`Since\` say why and since when it is not open, or what mail waits for at one that is.
- \`NextTryAt\`: when the next message goes. Messages that were tried already have times of their own, in their timelines.
- \`RatePerMinute\` (\`null\` for no limit) and \`Connections\`: what it gets at most now, from all servers together.
- \`Waiting\`: messages of this server's.
- \`PacedWith\`: the provider whose mail servers take the domain's mail, and whose state this is.
- \`AvoidedTransports\`: ways that it refuses, and when one message tries each again.`;

const missing = { 1490: "No mail waits for it" };

export function destinationEndpoints(needs: DestinationsNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        ...{ method: "GET", path, family, scope: "read" },
        summary: "Lists what the server's mail waits for",
        description: `Those with the most mail first.\n\n${DESCRIPTION}`,
        query: { schema: z.object(pageParameters), code: BAD_QUERY },
        response: z.object({ TotalCount: z.int(), Destinations: z.array(destinationSchema) }),
        errors: { [BAD_QUERY]: "A parameter has no value that it can have" },
      },
      async ({ policy: { serverId }, request, query: { count, offset } }) => {
        const waiting = await told(needs.waitingDomains(serverId, request));
        const all = [...Map.groupBy(waiting, ({ domain }) => destinationOf(domain))]
          .map(([name, of]) => ({ name, of, messages: of.reduce((sum, { waiting }) => sum + waiting, 0) }))
          .sort((a, b) => b.messages - a.messages || (a.name < b.name ? -1 : 1));
        const page = all.slice(offset, offset + count);
        const states = await statesOf(
          needs,
          page.map(({ name }) => name),
        );
        const now = needs.now();
        const shown = page.flatMap(({ name, of }) => {
          const state = states.get(name);
          return state ? [destinationJson(name, state, of, now)] : [];
        });
        return { ok: { TotalCount: all.length, Destinations: shown } };
      },
    ),
    serverEndpoint(
      {
        ...{ method: "GET", path: `${path}/:domain`, family, scope: "read" },
        summary: "Says why the server's mail for a domain waits",
        description: DESCRIPTION,
        response: destinationSchema,
        errors: missing,
      },
      async ({ policy: { serverId }, request, params }) => {
        const name = nameOf(params.domain);
        const waiting =
          name === undefined ? [] : await told(needs.waitingDomains(serverId, request, domainsOf(name)));
        return answer(needs, name, waiting);
      },
    ),
    accountEndpoint(
      {
        ...{ method: "POST", path: `${path}/:domain/resume`, family },
        summary: "Tries a destination at once",
        description: `For one that is known to be back: what its mail waits for is over, and one message tries it if it was stopped. When that fails, the
waits begin again from the shortest. What it said about speed still holds. Said again within ten seconds it changes nothing. The answer is the destination as it is then,
with the mail of all servers of the account.`,
        response: destinationSchema,
        errors: { 1490: "No mail of any server of the account waits for it" },
      },
      async ({ accountId, params }) => {
        const name = nameOf(params.domain);
        if (name === undefined) return { error: NONE_WAITS };
        const domains = domainsOf(name);
        const waiting = await told(needs.waitingOfAccount(accountId, domains));
        if (waiting.length === 0) return { error: NONE_WAITS };
        const [state] = await told(needs.destinations([name]));
        const names = state?.goesTo ? [name, state.goesTo] : [name];
        await told(needs.resumeDestinations(accountId, names, domains));
        return answer(needs, name, waiting);
      },
    ),
  ];
}

async function answer(
  needs: DestinationsNeeds,
  name: string | undefined,
  waiting: WaitingDomain[],
): Promise<Result<unknown>> {
  if (name === undefined || waiting.length === 0) return { error: NONE_WAITS };
  const state = (await statesOf(needs, [name])).get(name);
  return state ? { ok: destinationJson(name, state, waiting, needs.now()) } : { error: NONE_WAITS };
}

/** By name; of one whose mail counts to a provider, the provider's. */
async function statesOf(needs: DestinationsNeeds, names: string[]): Promise<Map<string, DestinationState>> {
  const own = await told(needs.destinations(names));
  const providers = new Set(own.flatMap(({ goesTo }) => goesTo ?? []));
  const others = providers.size > 0 ? await told(needs.destinations([...providers])) : [];
  const byName = new Map(others.map((state) => [state.name, state]));
  return new Map(own.map((state) => [state.name, byName.get(state.goesTo ?? "") ?? state]));
}

function nameOf(given: string | undefined): string | undefined {
  const domain = asciiDomain((given ?? "").toLowerCase());
  return domain === undefined ? undefined : destinationOf(domain);
}

async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("Destinations cannot be looked at at the moment. Please try again.", { cause });
  }
}
