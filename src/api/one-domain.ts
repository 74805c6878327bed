/** The domain that a path names, and how it is shown: what all endpoints of a domain have in common. */
import * as z from "zod";
import { type Domain, findDomain } from "../accounts/domains.ts";
import { domainFields, readId, showDomain } from "./domain-fields.ts";
import { apiError, type Result } from "./error.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export const named = z.object({ ID: z.int(), Name: z.string() });
export const details = z.object({ ...named.shape, ...domainFields.shape });

const NOT_FOUND = apiError(510, "The domain for the provided 'ID' was not found.");
export const NOT_FOUND_WHEN = { 510: "There is no such domain" };

export function showDetails(domain: Domain, needs: SettingsNeeds): z.infer<typeof details> {
  return { ID: domain.id, Name: domain.name, ...showDomain(domain, needs.mailDomain, needs.now()) };
}

/** Another account's is not there. */
export async function domainOfPath(
  accountId: number,
  id: string | undefined,
  { directory }: SettingsNeeds,
): Promise<Result<Domain>> {
  const number = readId(id);
  const domain = number === undefined ? undefined : await settled(findDomain(directory, accountId, number));
  return domain ? { ok: domain } : { error: NOT_FOUND };
}

/** After a change: all servers of the account know of it, and what is now stored is shown. */
export async function afterChange(
  { accountId, id }: Domain,
  needs: SettingsNeeds,
): Promise<Result<z.infer<typeof details>>> {
  await needs.accountChanged(accountId);
  const domain = await domainOfPath(accountId, String(id), needs);
  return "error" in domain ? domain : { ok: showDetails(domain.ok, needs) };
}
