/** A running system with two accounts, each with a server and one of everything that a server can have. */
import { expect } from "vitest";
import { hashToken, newToken } from "../../../src/accounts/token.ts";
import { System, until } from "../../journeys/system.ts";
import type { SqlRequest } from "./worker.ts";

export interface Tenant {
  name: string;
  accountId: number;
  accountToken: string;
  serverId: number;
  serverToken: string;
  /** A message that was sent, and is in the archive. */
  messageId: string;
}

export interface Answer {
  status: number;
  /** 0 for success. */
  code: number;
  json: Record<string, unknown>;
}

export interface Call {
  method: string;
  path: string;
  query?: Record<string, string>;
  body?: unknown;
  headers?: Record<string, string>;
}

const DEMO_DOMAIN = "example.com";

export class World {
  readonly #system: System;
  #made = 0;
  ours!: Tenant;
  theirs!: Tenant;

  private constructor(system: System) {
    this.#system = system;
  }

  static async start(): Promise<World> {
    const system = await System.start(undefined, { EDGEPOST_WORKER_ENTRY: "test/api/table/worker.ts" });
    const world = new World(system);
    world.ours = await world.#tenant("ours");
    world.theirs = await world.#tenant("theirs");
    return world;
  }

  stop(): Promise<void> {
    return this.#system.remove();
  }

  get url(): string {
    return this.#system.local.http;
  }

  /** A URL that takes whatever it is told. */
  sink(name: string): string {
    return `${this.#system.local.world.http}/sink/${name}`;
  }

  /** Never twice the same; lower case, a letter first. */
  unique(word = "x"): string {
    return `${word}${++this.#made}`;
  }

  async send({ method, path, query = {}, body, headers = {} }: Call): Promise<Answer> {
    const search = Object.keys(query).length > 0 ? `?${new URLSearchParams(query)}` : "";
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetchAgain(`${this.url}${path}${search}`, {
      method,
      headers: { "Content-Type": "application/json", ...headers },
      body: method === "GET" ? undefined : text,
    });
    const json = (await response.json()) as Record<string, unknown>;
    const code = response.status === 200 ? 0 : Number(response.headers.get("X-PM-ApiErrorCode"));
    if (code !== 0) expect(json, "the header and the body").toMatchObject({ ErrorCode: code });
    return { status: response.status, code, json };
  }

  /** With a tenant's own tokens; what is not taken is a fault of the test. */
  async make<T = Record<string, unknown>>(
    tenant: Pick<Tenant, "serverToken" | "accountToken">,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<T> {
    const headers = tokensOf(tenant);
    const answer = await this.send({ method, path, body, headers });
    if (answer.code !== 0) throw new Error(`${method} ${path}: ${JSON.stringify(answer.json)}`);
    return answer.json as T;
  }

  async sql<T = Record<string, unknown>>(
    database: SqlRequest["database"],
    sql: string,
    ...bound: SqlRequest["bound"]
  ): Promise<T[]> {
    const body = JSON.stringify({ database, sql, bound } satisfies SqlRequest);
    const response = await fetchAgain(`${this.url}/test/sql`, { method: "POST", body });
    const text = await response.text();
    if (!response.ok) throw new Error(`${sql}: ${text}`);
    return JSON.parse(text) as T[];
  }

  /** All that a refused request must leave as it is: the settings, what was accepted, and the bulk requests. */
  async state(): Promise<unknown> {
    let bulk: { Id: string; Status: string }[] = [];
    // What was accepted in bulk before counts as accepted bit by bit.
    await until("all bulk requests are released", async () => {
      const lists = await Promise.all(
        [this.ours, this.theirs].map((of) => this.make(of, "GET", "/email/bulk?count=500")),
      );
      bulk = lists.flatMap(({ Requests }) => Requests as typeof bulk);
      return bulk.every(({ Status }) => /Completed|Cancelled/.test(Status));
    });
    const settings = await (await fetchAgain(`${this.url}/test/settings`)).json();
    const { accepted } = await this.#system.ledger();
    const ids = bulk.map(({ Id }) => Id);
    return { settings, accepted, bulk: ids };
  }

  /** One more server of that account. */
  async server(of: Tenant, fields: object = {}): Promise<Tenant> {
    const body = { Name: this.unique("server "), ...fields };
    const made = await this.make<{ ID: number; ApiTokens: string[] }>(of, "POST", "/servers", body);
    return { ...of, serverId: made.ID, serverToken: made.ApiTokens[0] ?? "" };
  }

  /** Another account; with nothing in it but one server. */
  async account(name: string): Promise<Tenant> {
    const sql = "INSERT INTO accounts (name, created_at) VALUES (?, ?) RETURNING id";
    const [row] = await this.sql<{ id: number }>("DIRECTORY", sql, name, Date.now());
    const accountId = row?.id ?? 0;
    const accountToken = newToken(accountId);
    await this.sql(
      "DIRECTORY",
      "INSERT INTO tokens (hash, kind, account_id, created_at) VALUES (?, 'account', ?, ?)",
      await hashToken(accountToken),
      accountId,
      Date.now(),
    );
    const empty = { name, accountId, accountToken, serverId: 0, serverToken: "", messageId: "" };
    return this.server(empty, { Name: name });
  }

  /** Mail for that domain comes here. */
  async mx(domain: string): Promise<void> {
    const { world } = this.#system.local;
    await fetch(`${world.http}/dns/${domain}/MX`, { method: "PUT", body: `10 inbound.${DEMO_DOMAIN}` });
  }

  async #tenant(name: string): Promise<Tenant> {
    const tenant = await this.account(name);
    const domain = `${name}.example.org`;
    const { ID } = await this.make(tenant, "POST", "/domains", { Name: domain });
    await this.sql("DIRECTORY", "UPDATE domains SET verified_at = 1 WHERE id = ?", Number(ID));
    await this.make(tenant, "POST", "/message-streams", {
      ID: `stream-of-${name}`,
      Name: name,
      MessageStreamType: "Broadcasts",
    });
    // A policy may have been read before the domain was verified beside the API.
    await this.make(tenant, "PUT", `/servers/${tenant.serverId}`, { Color: "Red" });
    const sent = await this.make(tenant, "POST", "/email", {
      From: `sender@${domain}`,
      To: `someone@${DEMO_DOMAIN}`,
      Subject: "One that is in the archive",
      TextBody: "Hello",
      Tag: "table",
    });
    const messageId = String(sent.MessageID);
    const headers = tokensOf(tenant);
    const path = `/messages/outbound/${messageId}/details`;
    await until("the message is in the archive", async () => {
      return (await this.send({ method: "GET", path, headers })).code === 0;
    });
    return { ...tenant, messageId };
  }
}

export function tokensOf({ serverToken, accountToken }: Pick<Tenant, "serverToken" | "accountToken">) {
  return { "X-Postmark-Server-Token": serverToken, "X-Postmark-Account-Token": accountToken };
}

export function from({ name }: Tenant): string {
  return `sender@${name}.example.org`;
}

/**
 * workerd closes a connection that was idle for five seconds, and Node may send on it in the same moment: such a request was not read, and
 * goes again.
 */
async function fetchAgain(url: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    if (cause?.code !== "UND_ERR_SOCKET") throw error;
    // Others that are kept may have been closed as well: on one of its own.
    const headers = new Headers(init?.headers);
    headers.set("Connection", "close");
    return fetch(url, { ...init, headers });
  }
}
