import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { newSecret, signatureHeaders } from "../../src/notify/signature.ts";

const call = { id: "msg_1", at: 1_614_265_330_999, body: '{"test": 2432232314}' };

test("each secret signs id, whole seconds and body, in its order", async () => {
  const secrets = [newSecret(), newSecret()];
  const expected = secrets.map((secret) => {
    const key = Buffer.from(secret.replace("whsec_", ""), "base64");
    expect(key).toHaveLength(32);
    return `v1,${createHmac("sha256", key).update('msg_1.1614265330.{"test": 2432232314}').digest("base64")}`;
  });
  expect(await signatureHeaders(secrets, call)).toEqual({
    "webhook-id": "msg_1",
    "webhook-timestamp": "1614265330",
    "webhook-signature": expected.join(" "),
  });
});

test("no secret, no headers", async () => expect(await signatureHeaders([], call)).toEqual({}));
