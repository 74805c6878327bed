/** The DKIM keys of a From domain, opened; an isolate opens each once. */
import type { ServerPolicy, SigningKey } from "./policy.ts";
import { open } from "./secret.ts";

const MAX_OPENED = 1_000;
const opened = new Map<string, string>();

export function openKeys(
  policy: ServerPolicy,
  domain: string,
  deploymentSecret: string,
): Promise<SigningKey[]> {
  const keys = policy.keys.filter((key) => key.domain === domain);
  return Promise.all(
    keys.map(async (key) => ({ ...key, privateKey: await openOnce(key.privateKey, deploymentSecret) })),
  );
}

async function openOnce(sealed: string, deploymentSecret: string): Promise<string> {
  const kept = opened.get(sealed);
  if (kept !== undefined) return kept;
  const key = await open(sealed, deploymentSecret);
  if (opened.size >= MAX_OPENED) opened.clear();
  opened.set(sealed, key);
  return key;
}
