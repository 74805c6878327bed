/**
 * What opens and clicks have in common: of each recipient (and link) the first is stored, and all are counted, in one transaction.
 * What is told again, of the very same time, changes nothing if it is the first; later ones leave no row, so each telling of them
 * counts, unless who tells them numbers them (archive/count.ts).
 */
import type { Seen } from "../archive/count.ts";
import { withRows } from "../archive/rows.ts";

interface Ways<T extends Seen> {
  /** What a recipient can do for the first time: JSON of the table's key. */
  key(fact: T): string;
  count(facts: (T & { mayBeFirst: boolean })[]): D1PreparedStatement[];
  store(firsts: T[]): D1PreparedStatement[];
  /** What makes those that are numbered count once. */
  mark?: D1PreparedStatement;
  /**
   * Of rows of key and time, with their position last, gives `position` for those that are stored. Only what is stored says what
   * was first: also to a caller that died after it was, and tells it again.
   */
  firsts: string;
}

/** Says of each, in order, whether it is the first: the same again when it is told again. */
export async function recordFirsts<T extends Seen>(
  archive: D1Database,
  given: T[],
  { key, count, store, mark, firsts }: Ways<T>,
): Promise<boolean[]> {
  if (given.length === 0) return [];
  const earliest = new Map<string, T>();
  const distinct = new Map<string, T>();
  for (const fact of given) {
    const of = key(fact);
    const known = earliest.get(of);
    if (!known || fact.at < known.at) earliest.set(of, fact);
    distinct.set(`${fact.at} ${of}`, distinct.get(`${fact.at} ${of}`) ?? fact);
  }
  const counted = [...distinct.values()].map((fact) => ({
    ...fact,
    mayBeFirst: earliest.get(key(fact)) === fact,
  }));
  const asked = withRows(
    archive,
    firsts,
    given.map((fact, position) => [...(JSON.parse(key(fact)) as unknown[]), fact.at, position]),
  );
  const marked = mark ? [mark] : [];
  const statements = [...count(counted), ...store([...earliest.values()]), ...marked, ...asked];
  const results = await archive.batch<{ position: number }>(statements);
  const stored = new Set(results.slice(-asked.length).flatMap((r) => r.results.map((row) => row.position)));
  return given.map((_, position) => stored.has(position));
}
