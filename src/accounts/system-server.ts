/**
 * The server by which a deployment sends its own mail: confirmations of sender signatures, notices of removals. It has an account of
 * its own, which no token belongs to, and the mail domain with keys that sign at once; it is made when it is first needed.
 */
import { and, eq, isNull } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, servers } from "../schema/directory.ts";
import { createServer } from "./create.ts";
import { insertKeys, newDkimKeys } from "./dkim-keys.ts";
import { type Domain, findDomainByName } from "./domains.ts";

/** Accounts that people have are counted from 1. */
const ACCOUNT_ID = 0;
export const NAME = "Edgepost";

export interface SystemServerNeeds {
  directory: D1Database;
  now(): number;
  deploymentSecret: string;
  mailDomain: string;
}

/** Its number. What is there already stays, whoever made it. */
export async function systemServer(needs: SystemServerNeeds): Promise<number> {
  const id = await findServer(needs.directory);
  if (id !== undefined && (await systemDomain(needs))) return id;
  return makeServer(needs);
}

/** With the keys whose records the deployment is to publish. */
export function systemDomain({ directory, mailDomain }: SystemServerNeeds): Promise<Domain | undefined> {
  return findDomainByName(directory, ACCOUNT_ID, mailDomain);
}

async function findServer(directory: D1Database): Promise<number | undefined> {
  const isIt = and(eq(servers.accountId, ACCOUNT_ID), eq(servers.name, NAME), isNull(servers.deletedAt));
  const row = await drizzle(directory).select({ id: servers.id }).from(servers).where(isIt).get();
  return row?.id;
}

/** Each part only if it is not there: another isolate may be at it, or have stopped in the middle. */
async function makeServer(needs: SystemServerNeeds): Promise<number> {
  const { directory, deploymentSecret, mailDomain } = needs;
  const now = needs.now();
  await drizzle(directory)
    .insert(accounts)
    .values({ id: ACCOUNT_ID, name: NAME, createdAt: now })
    .onConflictDoNothing();
  const keys = await newDkimKeys(deploymentSecret, now);
  await directory.batch([
    directory
      .prepare(
        `INSERT INTO domains (account_id, name, verified_at, created_at) VALUES (?1, ?2, ?3, ?3)
         ON CONFLICT DO NOTHING`,
      )
      .bind(ACCOUNT_ID, mailDomain, now),
    insertKeys(
      directory,
      { accountId: ACCOUNT_ID, name: mailDomain },
      // Nobody has to prove that the deployment's own domain is its own.
      { keys, state: "active", onlyIfDomain: "has no key" },
      now,
    ),
  ]);
  const id = await findServer(directory);
  if (id !== undefined) return id;
  try {
    // Whichever transport the deployment has: one that it does not have is passed over.
    const transports = ["gateway" as const, "smarthost" as const, "cloudflare" as const];
    return (await createServer(directory, { accountId: ACCOUNT_ID, name: NAME, transports }, now)).id;
  } catch (error) {
    // Its name is taken by now when another isolate was first; anything else is a fault.
    const other = await findServer(directory);
    if (other === undefined) throw error;
    return other;
  }
}
