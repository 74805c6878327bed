/**
 * A path of a template: how many levels up, then which keys down. "a../b" is "b": what goes down and up again is
 * left out here, so that nobody walks it later.
 */
export interface Path {
  /** Levels up from the current scope; never more than there are. */
  up: number;
  down: string[];
  /** As it was written, for messages. */
  text: string;
}

/** Letters, digits and "_" as .NET's \w has them, and dots; a slash only after two dots, and two dots only before a slash. */
const INVALID = /\.{3,}|[^\p{L}\p{Mn}\p{Nd}\p{Pc}./]|(?<!\.\.)\/|\.\.(?:$|[^/])/u;

/** `level` is the number of levels above the current scope. "" and "." are the scope itself. */
export function parsePath(text: string, level: number): Path | undefined {
  if (INVALID.test(text)) return undefined;
  let up = 0;
  const down: string[] = [];
  for (const [part] of text.matchAll(/\.\.\/|[^.]+/g)) {
    if (part !== "../") down.push(part);
    else if (down.pop() === undefined) up++;
  }
  return { up: Math.min(up, level), down, text };
}
