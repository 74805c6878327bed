/** The secrets of a local home, made once and kept in a file that only its owner reads. */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newToken } from "../accounts/token.ts";

export interface Secrets {
  deployment: string;
  gateway: string;
  password: string;
  serverToken: string;
  accountToken: string;
}

/** The first account of a new directory; its server is the second, since the deployment's own is made before it (seed.ts). */
const ACCOUNT = 1;
const SERVER = 2;

export function secretsOf(home: string): Secrets {
  const file = join(home, "secrets.json");
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Secrets;
  const random = () => randomBytes(24).toString("base64url");
  const secrets: Secrets = {
    deployment: random(),
    gateway: random(),
    password: random(),
    serverToken: newToken(SERVER),
    accountToken: newToken(ACCOUNT),
  };
  writeFileSync(file, JSON.stringify(secrets, null, 2), { mode: 0o600 });
  return secrets;
}
