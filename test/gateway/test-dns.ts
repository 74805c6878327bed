/** A resolver for tests: answers from a table, and can fail in the ways that resolvers do. UDP on loopback. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import DNS from "dns2";

const { Packet } = DNS;

export interface Records {
  MX?: [preference: number, exchange: string][];
  A?: string[];
  AAAA?: string[];
  TXT?: string[];
  /** Of the whole name. */
  fails?: "SERVFAIL" | "silent";
}

export class TestDns {
  /** A name that is not here does not exist. */
  readonly names = new Map<string, Records>();
  readonly asked: string[] = [];
  #server: ReturnType<typeof DNS.createUDPServer> | undefined;
  #port = 0;

  async listen(): Promise<this> {
    this.#server = DNS.createUDPServer((request, send) => {
      const response = this.#answer(request);
      if (response) void send(response);
    });
    this.#server.bind(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  get server(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** A domain whose MX hosts are these, each with its addresses. */
  domain(name: string, hosts: [preference: number, host: string, ...addresses: string[]][]): void {
    this.names.set(name, { MX: hosts.map(([preference, host]) => [preference, host]) });
    for (const [, host, ...addresses] of hosts) {
      const AAAA = addresses.filter((a) => a.includes(":"));
      this.names.set(host, { A: addresses.filter((a) => !a.includes(":")), AAAA });
    }
  }

  stop(): void {
    this.#server?.close();
  }

  #answer(request: DNS.Packet): DNS.Packet | undefined {
    const [question] = request.questions;
    const name = (question?.name ?? "").toLowerCase();
    const type = Packet.typeName(question?.type ?? 0);
    this.asked.push(`${type} ${name}`);
    const records = this.names.get(name);
    if (!records) return Packet.createErrorResponseFromRequest(request, Packet.RCODE.NXDOMAIN);
    if (records.fails === "silent") return undefined;
    if (records.fails) return Packet.createErrorResponseFromRequest(request, Packet.RCODE.SERVFAIL);
    const response = Packet.createResponseFromRequest(request);
    const add = (data: object) =>
      response.answers.push({
        name,
        type: question?.type,
        class: Packet.CLASS.IN,
        ttl: 1,
        ...data,
      } as DNS.Packet.Resource);
    if (type === "MX") for (const [priority, exchange] of records.MX ?? []) add({ priority, exchange });
    if (type === "A" || type === "AAAA") for (const address of records[type] ?? []) add({ address });
    if (type === "TXT") for (const data of records.TXT ?? []) add({ data });
    return response;
  }
}
