/** The part of a name that somebody registered (the "organizational domain" of RFC 7489 §3.2): "example.co.uk" of "mail.example.co.uk". */
import { getDomain } from "tldts";

/** The name itself where that cannot be said. */
export function organisation(name: string): string {
  return getDomain(name, { allowPrivateDomains: true }) ?? name;
}
