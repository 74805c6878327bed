/** Many rows in one statement: they travel as one JSON parameter, which the statement reads with json_each. */

/** A parameter may have 2 MB. */
const MAX_PARAMETER_BYTES = 1_500_000;

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
