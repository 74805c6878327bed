/**
 * DNS over HTTPS, as the Worker asks: the wire form of RFC 8484 by GET and POST, and the JSON form that Cloudflare and Google
 * offer (`?name=&type=`), with the same answers as dns.ts.
 */
import DNS from "dns2";
import { Hono } from "hono";
import { respondTo, stringsOf, TTL_SECONDS } from "./dns.ts";
import type { Zone } from "./zone.ts";

const { TYPE, RCODE } = DNS.Packet;
const WIRE = "application/dns-message";
/** RFC 8484 §6. */
const MAX_MESSAGE_BYTES = 65_535;

export function dnsOverHttps(zone: Zone): Hono {
  const answerWire = (question: Buffer): Response => {
    if (question.length === 0 || question.length > MAX_MESSAGE_BYTES)
      return new Response("Not a question", { status: 400 });
    try {
      const answer = new Uint8Array(respondTo(zone, question));
      return new Response(answer, {
        headers: { "Content-Type": WIRE, "Cache-Control": `max-age=${TTL_SECONDS}` },
      });
    } catch {
      // Bytes that are no DNS message.
      return new Response("Not a question", { status: 400 });
    }
  };

  return new Hono()
    .post("/dns-query", async (c) => {
      if (!c.req.header("Content-Type")?.startsWith(WIRE)) return c.text(`Send ${WIRE}`, 415);
      return answerWire(Buffer.from(await c.req.arrayBuffer()));
    })
    .get("/dns-query", (c) => {
      const wire = c.req.query("dns");
      if (wire !== undefined) return answerWire(Buffer.from(wire, "base64url"));
      const name = c.req.query("name");
      if (!name) return c.text("Give dns= or name=", 400);
      return answerJson(zone, name, c.req.query("type") ?? "A");
    });
}

function answerJson(zone: Zone, name: string, asked: string): Response {
  const type = /^\d+$/.test(asked) ? DNS.Packet.typeName(Number(asked)) : asked.toUpperCase();
  const { rcode, records } = zone.answer(name, type);
  const body = {
    Status: RCODE[rcode],
    TC: false,
    RD: true,
    RA: true,
    AD: false,
    CD: false,
    Question: [{ name, type: codeOf(type) }],
    Answer: records.map((r) => ({
      name: r.name,
      type: codeOf(r.type),
      TTL: TTL_SECONDS,
      data: presented(r.type, r.data),
    })),
  };
  return Response.json(body, { headers: { "Content-Type": "application/dns-json" } });
}

function codeOf(type: string): number {
  return (TYPE as Record<string, number>)[type] ?? 0;
}

/** As in a zone file: strings in quotes, names with their final dot. */
function presented(type: string, data: string): string {
  if (type === "TXT")
    return stringsOf(data)
      .map((s) => `"${s.replace(/["\\]/g, "\\$&")}"`)
      .join(" ");
  return type === "A" || data.endsWith(".") ? data : `${data}.`;
}
