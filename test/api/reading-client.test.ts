/** The official client, unchanged, reads from us. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Errors, Models, ServerClient } from "postmark";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { record } from "../../src/track/record.ts";
import { delivered, hardBounced, message, NOON } from "../archive/databases.ts";
import { openReading, type Reading } from "./reading.ts";

let reading: Reading;
let server: Server;
let client: ServerClient;
const one = message([delivered("a@x.example"), hardBounced("b@x.example")], {
  tag: "welcome",
  summary: { metadata: { color: "blue" } },
});

beforeAll(async () => {
  reading = await openReading();
  await record({ ...reading.db, now: () => NOON }, [one]);
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = chunks.length > 0 && request.method !== "GET" ? Buffer.concat(chunks) : undefined;
    const headers = Object.entries(request.headers).map(([k, v]): [string, string] => [k, String(v)]);
    const answer = await reading.app.request(request.url ?? "/", { method: request.method, headers, body });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  client = new ServerClient(reading.token, { requestHost: `127.0.0.1:${port}`, useHttps: false });
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await reading.db.dispose();
});

describe("postmark.js", () => {
  it("finds messages and their details", async () => {
    const { TotalCount, Messages } = await client.getOutboundMessages({
      tag: "welcome",
      metadata_color: "blue",
    });
    expect([TotalCount, Messages.map((m) => m.MessageID)]).toEqual([1, [one.id]]);
    expect((await client.getOutboundMessages({ recipient: "nobody@x.example" })).TotalCount).toBe(0);
    const details = await client.getOutboundMessageDetails(one.id);
    expect(details.MessageEvents.map((e) => e.Type)).toEqual(["Delivered", "Bounced"]);
    expect(await client.getOutboundMessageDump(one.id)).toEqual({ Body: "" });
  });

  it("gets its own kinds of errors", async () => {
    const missing = client.getOutboundMessageDetails("0a129aee-e1cd-480d-b08d-4f48548ff48d");
    await expect(missing).rejects.toMatchObject({
      statusCode: 422,
      code: 701,
      message: "This message was not found.",
    });
    await expect(client.getOutboundMessages({ count: -1 })).rejects.toBeInstanceOf(Errors.ApiInputError);
    await expect(client.getBounce(999_999)).rejects.toMatchObject({ code: 1001 });
  });

  it("finds a bounce and activates it", async () => {
    expect(await client.getDeliveryStatistics()).toMatchObject({ InactiveMails: 1 });
    const { Bounces } = await client.getBounces({ messageID: one.id, inactive: true });
    const id = Bounces[0]?.ID ?? 0;
    expect(await client.getBounce(id)).toMatchObject({ Email: "b@x.example", Inactive: true });
    expect((await client.getBounceDump(id)).Body).toContain("550 5.1.1 no such user");
    expect(await client.activateBounce(id)).toMatchObject({
      Message: "OK",
      Bounce: { ID: id, Inactive: false },
    });
    expect((await client.getSuppressions("outbound")).Suppressions).toEqual([]);
  });

  it("suppresses and lifts it again", async () => {
    const asked = { Suppressions: [{ EmailAddress: "c@x.example" }, { EmailAddress: "invalid" }] };
    const made = await client.createSuppressions("outbound", asked);
    expect(made.Suppressions.map((s) => s.Status)).toEqual(["Suppressed", "Failed"]);
    const filter = {
      suppressionReason: Models.SuppressionReason.ManualSuppression,
      origin: Models.SuppressionOrigin.Customer,
    };
    expect((await client.getSuppressions("outbound", filter)).Suppressions).toMatchObject([
      { EmailAddress: "c@x.example" },
    ]);
    const gone = await client.deleteSuppressions("outbound", {
      Suppressions: [{ EmailAddress: "c@x.example" }],
    });
    expect(gone.Suppressions.map((s) => s.Status)).toEqual(["Deleted"]);
    expect((await client.getSuppressions("outbound", filter)).Suppressions).toEqual([]);
  });
});
