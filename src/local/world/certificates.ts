/**
 * The world's own certificate authority, made when there is none, and certificates that it signs. Kept in the world's folder, so that
 * who trusts `ca.pem` trusts it after a restart too.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const YEARS_MS = 10 * 365 * 86_400_000;
/** Elliptic keys would be lighter; with the versions of asn1-schema installed side by side here, selfsigned cannot write them. */
const KEYS = { keyType: "rsa", keySize: 2048, algorithm: "sha256" } as const;

/** Loaded only when something is to be made: it takes longer than all the rest, and a world that was killed has to be back soon. */
const selfsigned = () => import("selfsigned");

export interface Pair {
  key: string;
  cert: string;
}

/** `ca.pem` and `ca-key.pem`. */
export async function authority(folder: string): Promise<Pair> {
  return keptIn(folder, "ca", async () => {
    const { generate } = await selfsigned();
    const made = await generate([{ name: "commonName", value: "Edgepost local world CA" }], {
      ...KEYS,
      notAfterDate: new Date(Date.now() + YEARS_MS),
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
      ],
    });
    return { key: made.private, cert: made.cert };
  });
}

/** `<file>.pem` and `<file>-key.pem`: a server certificate for these names, the first of which is its subject. */
export async function certificateFor(folder: string, file: string, names: string[]): Promise<Pair> {
  const ca = await authority(folder);
  return keptIn(folder, file, async () => {
    const { generate } = await selfsigned();
    const made = await generate([{ name: "commonName", value: names[0] ?? file }], {
      ...KEYS,
      ca,
      notAfterDate: new Date(Date.now() + YEARS_MS),
      extensions: [
        { name: "basicConstraints", cA: false },
        { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        {
          name: "subjectAltName",
          altNames: names.map((value) =>
            /^[\d.]+$/.test(value) ? { type: 7, ip: value } : { type: 2, value },
          ),
        },
      ],
    });
    return { key: made.private, cert: made.cert };
  });
}

/** The key is written first, and the certificate in one step: a certificate in its place always has its key. */
async function keptIn(folder: string, file: string, make: () => Promise<Pair>): Promise<Pair> {
  const certFile = join(folder, `${file}.pem`);
  const keyFile = join(folder, `${file}-key.pem`);
  if (existsSync(certFile) && existsSync(keyFile))
    return { key: readFileSync(keyFile, "utf8"), cert: readFileSync(certFile, "utf8") };
  const pair = await make();
  writeFileSync(keyFile, pair.key, { mode: 0o600 });
  writeFileSync(`${certFile}.new`, pair.cert);
  renameSync(`${certFile}.new`, certFile);
  return pair;
}
