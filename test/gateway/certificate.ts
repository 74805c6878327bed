/** A self-signed certificate for a name, which is its own authority. */
import { generate } from "selfsigned";

export interface Pair {
  key: string;
  cert: string;
}

const DAY_MS = 86_400_000;

/** `days` from now until it ends; a negative number for one that has expired. */
export async function certificate(name: string, days = 1): Promise<Pair> {
  const { private: key, cert } = await generate([{ name: "commonName", value: name }], {
    keyType: "rsa",
    keySize: 2048,
    algorithm: "sha256",
    notBeforeDate: new Date(Date.now() - 10 * DAY_MS),
    notAfterDate: new Date(Date.now() + days * DAY_MS),
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: name }] },
    ],
  });
  return { key, cert };
}
