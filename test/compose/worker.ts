/** The room in workerd, for workerd.test.ts: composes and signs what it is sent. */
import { compose } from "../../src/compose/compose.ts";
import type { SigningKey } from "../../src/compose/keys.ts";
import { newKeyPair } from "../../src/compose/keys.ts";
import { readContent } from "../../src/compose/read-content.ts";
import { sign } from "../../src/compose/sign.ts";
import type { Submission } from "../../src/mail/message.ts";

interface Order {
  submission: Submission;
  ids: { messageId: string; acceptedAt: number; messageIdDomain: string };
  keys: SigningKey[];
}

export default {
  async fetch(request: Request): Promise<Response> {
    if (request.method === "GET") {
      const pairs = [await newKeyPair("rsa-sha256"), await newKeyPair("ed25519-sha256")];
      return Response.json(pairs);
    }
    const { submission, ids, keys } = (await request.json()) as Order;
    const message = compose(submission, ids);
    const signature = await sign(message, keys, ids.acceptedAt);
    const { attachments } = await readContent(message);
    const headers = { signature: btoa(signature), attachments: String(attachments.length) };
    return new Response(message, { headers });
  },
};
