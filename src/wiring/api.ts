/** What the HTTP API (api/app.ts) needs. Here who calls and what is sent; the rest is in the files api-*.ts. */
import type { LedgerReport } from "../accept/ledger.ts";
import { acceptProbe } from "../accept/probe.ts";
import { acceptAny, type ScheduleGateNeeds } from "../accept/schedule-gate.ts";
import { isScheduledOutbox } from "../accept/schedule-release.ts";
import { ownReturnPath } from "../accounts/dns-names.ts";
import { accountOfToken } from "../accounts/token.ts";
import type { ApiNeeds } from "../api/app.ts";
import type { AuthenticateNeeds } from "../api/authenticate.ts";
import type { HealthNeeds } from "../api/health.ts";
import type { Env } from "../bindings.ts";
import { parseShardName, shardName } from "../mail/message-id.ts";
import { formatProbeAddress } from "../mail/return-path.ts";
import { acceptNeeds } from "./accept.ts";
import { destinationsNeeds } from "./api-destinations.ts";
import { gatewayNeeds } from "./api-gateway.ts";
import { readingNeeds } from "./api-reading.ts";
import { settingNeeds } from "./api-settings.ts";
import { borrow, pathKeyOf, policyCache, rateLeases, templateCache } from "./isolate.ts";
import { bulkOf, outboxOf, scheduleOf, shardNames } from "./objects.ts";
import { regionOfRequest } from "./request-region.ts";

/** A token that has no limit of its own: what no honest client reaches, and what one Worker can serve. */
const REQUESTS_PER_MINUTE = 1_200_000;

/** With an account's tokens together: a thousand a second, each of which asks the directory. People and scripts make a few. */
const ACCOUNT_REQUESTS_PER_MINUTE = 60_000;
/** Accounts have no Outbox that would count for them: one of no server does, in each region, which never holds anything. */
const NO_SERVER = 0;

export function apiNeeds(env: Env): ApiNeeds {
  const gate: ScheduleGateNeeds = {
    ...acceptNeeds(env),
    schedule: (serverId) => scheduleOf(env, serverId),
  };
  return {
    ...authenticateNeeds(env),
    ...readingNeeds(env),
    ...settingNeeds(env),
    ...destinationsNeeds(env),
    ...gatewayNeeds(env),
    ...healthNeeds(env),
    accept: (policy, submissions, { idempotency, request }) =>
      acceptAny(policy, submissions, { region: regionOfRequest(request), idempotency }, gate),
    template: (serverId, ref) => templateCache(env).find(serverId, ref),
    bulk: (serverId) => bulkOf(env, serverId),
    schedule: (serverId) => scheduleOf(env, serverId),
    region: regionOfRequest,
    async probeAddress(serverId) {
      const of = { serverId, messageId: crypto.randomUUID() };
      return formatProbeAddress(await pathKeyOf(env), of, ownReturnPath(env.MAIL_DOMAIN));
    },
    acceptProbe: (policy, probe, request) => acceptProbe(policy, probe, regionOfRequest(request), gate),
  };
}

function authenticateNeeds(env: Env): AuthenticateNeeds {
  const policies = policyCache(env);
  const rates = rateLeases();
  return {
    authenticate: (token, request) => policies.byToken(token, regionOfRequest(request)),
    retryAfter({ policy: { serverId }, token }, request) {
      const perMinute = token.ratePerMinute ?? (Number(env.REQUESTS_PER_MINUTE) || REQUESTS_PER_MINUTE);
      const name = shardName(serverId, { region: regionOfRequest(request), number: 0 });
      return rates.retryAfter({ token: token.hash, perMinute }, (wanted) => borrow(env, name, wanted));
    },
    authenticateAccount: (token) => accountOfToken(env.DIRECTORY, token),
    accountRetryAfter(accountId, request) {
      const name = shardName(NO_SERVER, { region: regionOfRequest(request), number: 0 });
      const of = { token: `account ${accountId}`, perMinute: ACCOUNT_REQUESTS_PER_MINUTE };
      return rates.retryAfter(of, (wanted) => borrow(env, name, wanted));
    },
  };
}

function healthNeeds(env: Env): HealthNeeds {
  return {
    async scheduledRecipients() {
      const shards = (await shardNames(env)).map(parseShardName);
      const servers = new Set(shards.filter((s) => isScheduledOutbox(s.number)).map((s) => s.serverId));
      const counts = [...servers].map((serverId) => scheduleOf(env, serverId).recipients());
      return (await Promise.all(counts)).reduce((sum, n) => sum + n, 0);
    },
    async ledgers(): Promise<LedgerReport[]> {
      return Promise.all((await shardNames(env)).map((shard) => outboxOf(env, shard).ledger()));
    },
  };
}
