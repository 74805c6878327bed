/**
 * Whether a reply is as written: line by line, from the start of each. `5xx` is any code of its class, `*` any text, `/…/` a regular
 * expression for the rest of the line, and `250-...` any number of lines. Case does not count.
 */
export function matches(patterns: string[], lines: string[]): boolean {
  const [pattern, ...rest] = patterns;
  const [line, ...others] = lines;
  if (pattern === undefined) return line === undefined;
  if (/^\d{3}-\.\.\.$/.test(pattern)) {
    for (let skip = 0; skip < lines.length; skip++) if (matches(rest, lines.slice(skip))) return true;
    return false;
  }
  if (line === undefined || !asRegExp(pattern).test(line.trimEnd())) return false;
  // "250" alone is a reply of one line.
  if (rest.length === 0 && line[3] === "-") return false;
  return matches(rest, others);
}

function asRegExp(pattern: string): RegExp {
  const [, start = pattern, regex] = /^(.*?)\/(.+)\/$/.exec(pattern) ?? [];
  const escaped = start
    .replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
    .replaceAll("\\*", ".*")
    .replace(/^(\d)xx/, "$1\\d\\d");
  return new RegExp(`^${escaped}${regex ?? "(?!\\d)"}`, "i");
}
