/** The same bytes and signatures in workerd as in Node, without Node's compatibility. */
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compose } from "../../src/compose/compose.ts";
import { newKeyPair, type SigningKey } from "../../src/compose/keys.ts";
import { sign } from "../../src/compose/sign.ts";
import { IDS, SAMPLES, sample } from "./samples.ts";

let workerd: Miniflare;
let keys: SigningKey[];

beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [new URL("worker.ts", import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker"],
    mainFields: ["module", "main"],
  });
  const contents = outputFiles[0]?.text ?? "";
  workerd = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents }],
    compatibilityDate: "2026-07-01",
  });
  const made = [await newKeyPair("rsa-sha256"), await newKeyPair("ed25519-sha256")];
  const algorithms = ["rsa-sha256", "ed25519-sha256"] as const;
  keys = algorithms.map((algorithm, i) => ({
    domain: "example.com",
    selector: `s${i}`,
    algorithm,
    privateKey: made[i]?.privateKey ?? "",
  }));
});
afterAll(() => workerd.dispose());

describe("workerd", () => {
  it.each(Object.keys(SAMPLES))("%s: the bytes and signatures that Node makes", async (name) => {
    const submission = sample(name);
    const body = JSON.stringify({ submission, ids: IDS, keys });
    const response = await workerd.dispatchFetch("http://worker/", { method: "POST", body });
    const message = compose(submission, IDS);
    expect(Buffer.compare(Buffer.from(await response.arrayBuffer()), message)).toBe(0);
    const signature = Buffer.from(response.headers.get("signature") ?? "", "base64").toString();
    expect(signature).toBe(await sign(message, keys, IDS.acceptedAt));
    expect(response.headers.get("attachments")).toBe(String(submission.attachments.length));
  });

  it("makes keys that Node signs with", async () => {
    const response = await workerd.dispatchFetch("http://worker/");
    const pairs = (await response.json()) as { privateKey: string; dnsRecord: string }[];
    const [rsa, ed25519] = pairs;
    expect([rsa?.dnsRecord.slice(0, 19), ed25519?.dnsRecord.slice(0, 23)]).toEqual([
      "v=DKIM1; k=rsa; p=M",
      `v=DKIM1; k=ed25519; p=${ed25519?.dnsRecord.charAt(22)}`,
    ]);
    const theirs = keys.map((key, i) => ({ ...key, privateKey: pairs[i]?.privateKey ?? "" }));
    const fields = await sign(compose(sample("plain text"), IDS), theirs, IDS.acceptedAt);
    expect(fields.match(/DKIM-Signature/g)).toHaveLength(2);
  });
});
