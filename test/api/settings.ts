/**
 * Families of endpoints behind the API's door, on real databases, with two accounts and a server in each: what must stay apart can be
 * tried with the other's token. What lies beyond their ports is recorded here, and can be taken away.
 */
import { createAccount, createServer, createToken } from "../../src/accounts/create.ts";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { PolicyCache } from "../../src/accounts/policy-cache.ts";
import { accountOfToken } from "../../src/accounts/token.ts";
import type { AuthenticateNeeds } from "../../src/api/authenticate.ts";
import { door } from "../../src/api/door.ts";
import { type Endpoint, mount } from "../../src/api/endpoint.ts";
import type { SettingsNeeds } from "../../src/api/settings-needs.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";
import type { Answer } from "./reading.ts";

export const DEPLOYMENT_SECRET = "a secret of the tests";

export interface Tenant {
  accountId: number;
  accountToken: string;
  serverId: number;
  serverToken: string;
}

export interface Settings {
  db: Databases;
  needs: SettingsNeeds & AuthenticateNeeds;
  ours: Tenant;
  theirs: Tenant;
  /** Milliseconds; tests may move it. */
  clock: { now: number };
  /** Servers and accounts whose policies were told to be read anew. */
  changed: { servers: number[]; accounts: number[]; hooks: string[] };
  /** What stands for the event log: the place of its newest event. */
  log: { head: number };
  logged: Record<string, unknown>[];
  /** With our tokens unless told otherwise. */
  call(
    method: string,
    path: string,
    body?: unknown,
    as?: Partial<Tenant> & { headers?: object },
  ): Promise<Answer>;
  dispose(): Promise<void>;
}

/** `families` are made once, with the needs of the whole, to which `more` adds. */
export async function openSettings<M extends object>(
  families: (needs: SettingsNeeds & AuthenticateNeeds & M) => Endpoint[],
  more: (settings: Settings) => M,
): Promise<Settings> {
  const db = await openDatabases();
  const clock = { now: NOON };
  const changed: Settings["changed"] = { servers: [], accounts: [], hooks: [] };
  const log = { head: 0 };
  const logged: Record<string, unknown>[] = [];
  const tenant = async (name: string): Promise<Tenant> => {
    const accountId = await createAccount(db.directory, name, NOON);
    const { id: serverId } = await createServer(db.directory, { accountId, name }, NOON);
    const token = { kind: "server", accountId, serverId, deploymentSecret: DEPLOYMENT_SECRET } as const;
    const serverToken = await createToken(db.directory, token, NOON);
    const accountToken = await createToken(db.directory, { kind: "account", accountId }, NOON);
    return { accountId, accountToken, serverId, serverToken };
  };
  const [ours, theirs] = [await tenant("Ours"), await tenant("Theirs")];
  const now = () => clock.now;
  const needs: SettingsNeeds & AuthenticateNeeds = {
    directory: db.directory,
    now,
    newId: () => crypto.randomUUID(),
    log: (event, fields) => logged.push({ event, ...fields }),
    async policyChanged(serverId) {
      changed.servers.push(serverId);
    },
    async accountChanged(accountId) {
      changed.accounts.push(accountId);
    },
    logHead: async () => log.head,
    async hooksChanged(_serverId, names) {
      changed.hooks.push(...names);
    },
    deploymentSecret: DEPLOYMENT_SECRET,
    mailDomain: "mail.example.com",
    publicUrl: "https://edgepost.example.com",
    dnsUrl: "http://127.0.0.1:1/dns-query",
    fetchDns: () => Promise.reject(new Error("no DNS in this test")),
    // A cache that never outlives a call: each sees the directory as it is.
    authenticate: (token) =>
      new PolicyCache((serverId) => loadPolicy(db.directory, serverId), now).byToken(token, "local"),
    retryAfter: async () => 0,
    accountRetryAfter: async () => 0,
    authenticateAccount: (token) => accountOfToken(db.directory, token),
  };
  const settings: Settings = {
    db,
    needs,
    ours,
    theirs,
    clock,
    changed,
    log,
    logged,
    async call(method, path, body, as: Partial<Tenant> & { headers?: object } = ours) {
      const headers: Record<string, string> = { "Content-Type": "application/json" };
      if (as.serverToken) headers["X-Postmark-Server-Token"] = as.serverToken;
      if (as.accountToken) headers["X-Postmark-Account-Token"] = as.accountToken;
      Object.assign(headers, as.headers);
      const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
      const response = await app.request(path, { method, headers, body: text });
      const code = response.headers.get("X-PM-ApiErrorCode");
      return { status: response.status, code, json: await response.json() };
    },
    dispose: () => db.dispose(),
  };
  const all = Object.assign(needs, more(settings));
  const app = door(needs).route("/", mount(families(all), needs));
  return settings;
}
