/** What the table says of an endpoint: how it is asked rightly, and what its refusals are brought about by. */
import type { Tenant, World } from "./world.ts";

export type Ids = Record<string, string>;
type Given<T> = T | ((world: World, tenant: Tenant) => T | Promise<T>);

/** A request that differs from the right one of its row. */
export interface Shot {
  ids?: Ids;
  query?: Record<string, string>;
  body?: unknown;
  as?: Tenant;
}

export interface Row {
  /** Whose server asks, where ours has no room for more. */
  as?: Given<Tenant>;
  /** What the path names: things of that tenant, made for the occasion where the endpoint changes or ends them. */
  ids?: Given<Ids>;
  query?: Record<string, string>;
  /** Each time another, where a name may be taken once only. */
  body?: Given<object>;
  /** For an id that nobody has, by the parameter of the path where they differ. */
  absent?: number | Record<string, number>;
  /** An id that is well-formed and nobody's; a number unless it is said. */
  nobodys?: Ids;
  /** What no body at all is refused with, where the declaration does not say it and it is not taken as `{}`. */
  nothing?: number;
  /** What `{}` is refused with; without it nothing, and it is taken. */
  empty?: number;
  /** Fields of the body whose wrong type has another code than 403; 0 for one that takes anything. */
  wrongField?: Record<string, number>;
  /** Parameters whose wrong value has another code than the declared one. */
  wrongParameter?: Record<string, number>;
  /** How each other code comes about, or why no test can bring it about. */
  codes?: Record<number, string | ((world: World, tenant: Tenant) => Shot | Promise<Shot>)>;
}

/** By "METHOD /path" as it is declared. */
export type Table = Record<string, Row>;

export async function given<T>(
  of: Given<T> | undefined,
  world: World,
  tenant: Tenant,
): Promise<T | undefined> {
  return typeof of === "function"
    ? (of as (world: World, tenant: Tenant) => T | Promise<T>)(world, tenant)
    : of;
}
