/** The world's DNS over UDP and TCP, and its answers on the wire (RFC 1035), which DNS over HTTPS carries too. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import DNS from "dns2";
import type { DnsRecord, Zone } from "./zone.ts";

const { Packet } = DNS;
/** What was set by a test is seen by the next question. */
export const TTL_SECONDS = 1;
/** RFC 1035 §3.3: one string of a TXT record. */
const MAX_STRING_BYTES = 255;
const PORT_TRIES = 10;

export interface DnsServer {
  port: number;
  close(): void;
}

/** UDP and TCP on one port; 0 for any that is free in both. */
export async function serveDns(zone: Zone, wanted: number): Promise<DnsServer> {
  const handle: DNS.DnsHandler = (request, send) => void send(respond(zone, request));
  for (let tries = 1; ; tries++) {
    const tcp = DNS.createTCPServer(handle);
    tcp.listen(wanted, "127.0.0.1");
    await once(tcp, "listening");
    const { port } = tcp.address() as AddressInfo;
    const udp = DNS.createUDPServer(handle);
    try {
      udp.bind(port, "127.0.0.1");
      await once(udp, "listening");
    } catch (error) {
      tcp.close();
      // Free in TCP was taken in UDP: when any port will do, another one may be free.
      if (wanted === 0 && tries < PORT_TRIES) continue;
      throw error;
    }
    for (const server of [udp, tcp]) {
      server.on("requestError", (error: Error) => console.error(`dns: not a question: ${error.message}`));
      server.on("error", (error: Error) => console.error(`dns: ${error.message}`));
    }
    return {
      port,
      close: () => {
        udp.close();
        tcp.close();
      },
    };
  }
}

/** The answer to a question on the wire, for DNS over HTTPS. Throws when it is none. */
export function respondTo(zone: Zone, question: Buffer): Buffer {
  return respond(zone, Packet.parse(question)).toBuffer();
}

function respond(zone: Zone, request: DNS.Packet): DNS.Packet {
  const [question] = request.questions;
  if (!question) return Packet.createErrorResponseFromRequest(request, Packet.RCODE.FORMERR);
  const { rcode, records } = zone.answer(question.name, Packet.typeName(question.type ?? 0));
  const response = Packet.createResponseFromRequest(request);
  response.header.aa = 1;
  response.header.ra = 1;
  response.header.rcode = Packet.RCODE[rcode];
  for (const record of records) response.answers.push(resourceOf(record));
  return response;
}

function resourceOf({ name, type, data }: DnsRecord): DNS.Packet.Resource {
  const base = { name, type: Packet.TYPE[type], class: Packet.CLASS.IN, ttl: TTL_SECONDS };
  return { ...base, ...rdataOf(type, data) } as DNS.Packet.Resource;
}

function rdataOf(type: DnsRecord["type"], data: string): object {
  switch (type) {
    case "A":
      return { address: data };
    case "CNAME":
      return { domain: data };
    case "MX": {
      const [priority, exchange] = data.split(/\s+/);
      return { priority: Number(priority), exchange };
    }
    case "TXT":
      return { data: stringsOf(data) };
  }
}

/** A DKIM key is longer than one string may be: readers join them without a space (RFC 6376 §3.6.2.2). */
export function stringsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const strings: string[] = [];
  for (let at = 0; at < bytes.length; at += MAX_STRING_BYTES)
    strings.push(bytes.subarray(at, at + MAX_STRING_BYTES).toString());
  return strings.length > 0 ? strings : [""];
}
