/** Many rows in one statement: they travel as one JSON parameter, which the statement reads with json_each. */

/** A parameter may have 2 MB. */
const MAX_PARAMETER_BYTES = 1_500_000;

/** So that a row of them stays far below what a parameter takes: an index text may have 10 kB. */
const MOST_TOGETHER = 100;

/**
 * What begins alike as one row: that beginning, and last a list of the rest, a string each. To take a value out of a row costs SQLite a
 * microsecond, and a string out of a list nearly nothing.
 */
export function gathered(items: { of: unknown[]; text: string }[]): unknown[][] {
  const rows: unknown[][] = [];
  const open = new Map<string, string[]>();
  for (const { of, text } of items) {
    const key = JSON.stringify(of);
    let texts = open.get(key);
    if (!texts || texts.length >= MOST_TOGETHER) {
      texts = [];
      open.set(key, texts);
      rows.push([...of, texts]);
    }
    texts.push(text);
  }
  return rows;
}

/** The statement once for each part of the rows that fits into a parameter; never without rows. */
export function withRows(archive: D1Database, sql: string, rows: unknown[][]): D1PreparedStatement[] {
  const statements: D1PreparedStatement[] = [];
  let part: string[] = [];
  let size = 0;
  const end = () => {
    if (part.length > 0) statements.push(archive.prepare(sql).bind(`[${part.join(",")}]`));
    part = [];
    size = 0;
  };
  for (const row of rows) {
    const json = JSON.stringify(row);
    // A character may take three bytes.
    if (size + json.length * 3 > MAX_PARAMETER_BYTES) end();
    part.push(json);
    size += json.length * 3;
  }
  end();
  return statements;
}
