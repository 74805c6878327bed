/** What hooks keep of what they told. */
import { hookNames } from "../accounts/hooks.ts";
import type { ToErase } from "../mail/erasure.ts";
import type { EraseNeeds } from "./needs.ts";

export async function eraseInHooks(needs: EraseNeeds, serverId: number, erase: ToErase): Promise<void> {
  for (const name of await hookNames(needs.directory, serverId)) await needs.hook(name).erase(erase);
}
