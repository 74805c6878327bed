/** A web server on loopback that webhooks are sent to; it keeps what it was told, and answers as the test says. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Told {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  text: string;
}

export interface HookServer {
  url: string;
  port: number;
  told: Told[];
  /** 200 unless told otherwise. */
  answer: (told: Told, response: ServerResponse) => void;
  close(): Promise<void>;
}

export async function openHookServer(): Promise<HookServer> {
  const http = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = "", url = "", headers } = request;
    const told = { method, path: url, headers, text: Buffer.concat(chunks).toString() };
    server.told.push(told);
    server.answer(told, response);
  });
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
  const { port } = http.address() as AddressInfo;
  const server: HookServer = {
    url: `http://127.0.0.1:${port}`,
    port,
    told: [],
    answer: (_told, response) => response.end("fine"),
    async close() {
      http.closeAllConnections();
      await new Promise((done) => http.close(done));
    },
  };
  return server;
}
