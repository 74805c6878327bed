/** Programs that people send with, over STARTTLS and over TLS from the first byte: each message arrives as it was, signed, and is found by its 250. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIENTS, type Door } from "./smtp-clients.ts";
import { has, openDkim, rawOf, signatures } from "./smtp-witness.ts";
import { System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await System.start();
}, 100_000);
afterAll(() => system.remove());

/** What mail software gets wrong: a calendar among the alternatives, octets above 127, dots in front, spaces at the end. */
function invitation(to: string): string {
  return [
    "From: =?iso-8859-1?Q?Ann_Caf=E9?= <sender@example.com>",
    `To: Bob <${to}>`,
    "Subject: =?iso-8859-1?Q?D=E9jeuner?=",
    "Date: Wed, 25 Nov 2026 09:00:00 +0100",
    "Message-ID: <mine@app.example>",
    "X-PM-Tag: invitation",
    "X-PM-Metadata-Order: 17",
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="outer"',
    "",
    "For readers without MIME.",
    "--outer",
    'Content-Type: multipart/alternative; boundary="inner"',
    "",
    "--inner",
    "Content-Type: text/plain; charset=iso-8859-1",
    "Content-Transfer-Encoding: 8bit",
    "",
    "D\xe9jeuner \xe0 midi  ",
    ".",
    "..deux points\t",
    "--inner",
    'Content-Type: text/calendar; charset="us-ascii"; method=REQUEST',
    "",
    "BEGIN:VCALENDAR",
    "METHOD:REQUEST",
    "END:VCALENDAR",
    "--inner--",
    "--outer",
    'Content-Type: application/octet-stream; name="all.dat"',
    'Content-Disposition: attachment; filename="all.dat"',
    "Content-Transfer-Encoding: base64",
    "",
    Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      .toString("base64")
      .replace(/.{76}/g, "$&\r\n"),
    "--outer--",
    "",
  ].join("\r\n");
}

const bodyOf = (text: string) => text.slice(text.indexOf("\r\n\r\n") + 4);
const namesOf = (text: string) =>
  [...text.slice(0, text.indexOf("\r\n\r\n")).matchAll(/^([^\s:]+):/gm)].map(([, n]) => n?.toLowerCase());
/** The last reply that names a message. */
const idIn = (dialog: string) =>
  [...dialog.matchAll(/\b250\b.*?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/g)].at(-1)?.[1];

for (const tls of ["starttls", "implicit"] as const)
  describe(tls === "starttls" ? "over STARTTLS" : "over TLS", () => {
    for (const [name, { program, send }] of Object.entries(CLIENTS))
      it.skipIf(program !== undefined && !has(program))(`${name} delivers, whole and signed`, async () => {
        const { smtp, serverToken, from } = system.local;
        const port = tls === "starttls" ? smtp.port : smtp.tlsPort;
        const door: Door = { tls, port, caFile: smtp.caFile, token: serverToken };
        const to = `${name.replace(/\W/g, "")}-${tls}@client.example`.toLowerCase();
        const sent = invitation(to);
        const dialog = await send(door, { from, to, raw: Buffer.from(sent, "latin1") });

        const messageId = idIn(dialog);
        expect(messageId, dialog).toBeDefined();
        const { status, json } = await system.api("GET", `/messages/outbound/${messageId}/details`);
        expect(status).toBe(200);
        expect(json).toMatchObject({
          MessageID: messageId,
          Recipients: [to],
          Tag: "invitation",
          Metadata: { Order: "17" },
        });

        const raw = await rawOf(system, await system.arrives(to));
        const arrived = raw.toString("latin1");
        expect(bodyOf(arrived)).toBe(bodyOf(sent));
        expect(namesOf(arrived).filter((n) => n?.startsWith("x-pm-"))).toEqual(["x-pm-message-id"]);
        expect(arrived).toContain(`X-PM-Message-Id: ${messageId}`);
        expect(await signatures(system, raw)).toEqual(["pass", "pass"]);
        if (has("opendkim"))
          expect(await openDkim(system, raw)).toMatch(/verification \(s=\S+, d=example\.com.*\) succeeded/);
      });
  });
