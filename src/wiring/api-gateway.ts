/** What the door for gateways (api/gateway.ts) needs. */
import { acceptBatch } from "../accept/accept.ts";
import { checkLogin } from "../accounts/smtp-tokens.ts";
import { serverIdOf } from "../accounts/token.ts";
import type { GatewayNeeds } from "../api/gateway.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { isOwnAddress, ownDomains } from "../receive/own-address.ts";
import { receive } from "../receive/receive.ts";
import { acceptNeeds } from "./accept.ts";
import { policyCache } from "./isolate.ts";
import { ownAddressNeeds, receiveNeeds } from "./receive.ts";
import { regionOfRequest } from "./request-region.ts";

export function gatewayNeeds(env: Env): GatewayNeeds {
  const gate = acceptNeeds(env);
  const policies = policyCache(env);
  return {
    now: Date.now,
    log,
    gatewaySecret: env.GATEWAY_SECRET,
    mailDomain: env.MAIL_DOMAIN,
    async login({ user, password }, request) {
      const region = regionOfRequest(request);
      const serverId = serverIdOf(user);
      const policy = serverId === undefined ? undefined : await policies.fresh(serverId, region);
      const answer = await checkLogin(policy, user, password);
      if (!policy || !answer.ok) return { refused: answer.ok ? "" : answer.why };
      const shards = gate.shardsPerRegion;
      const { stream } = answer;
      return {
        account: { serverId: policy.serverId, ...(stream === undefined ? {} : { stream }), region, shards },
      };
    },
    ownDomains: () => ownDomains(ownAddressNeeds(env)),
    isOwnAddress: (address) => isOwnAddress(address, ownAddressNeeds(env)),
    policy: (serverId, request) => policies.byServer(serverId, regionOfRequest(request)),
    acceptBatch: (policy, batch) => acceptBatch(policy, batch, gate),
    receive: (key, { envelope, remoteAddress, session }, bytes) =>
      receive(
        key,
        { v: 1, envelope, via: "gateway", remoteAddress, session, receivedAt: Date.now() },
        bytes,
        receiveNeeds(env),
      ),
  };
}
