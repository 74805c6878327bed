/**
 * Finds the tags of a template. A tag is two or three braces, something without braces, and as many braces again; all
 * other braces are text. Each character is looked at a bounded number of times, whatever the source is.
 */
export interface Tag {
  /** What stands between the braces, untrimmed. */
  inner: string;
  triple: boolean;
  start: number;
  end: number;
}

export function* scan(source: string): Generator<Tag> {
  const brace = /[{}]/g;
  let from = 0;
  while (true) {
    const open = source.indexOf("{{", from);
    if (open < 0) return;
    const content = afterRun(source, open, "{");
    brace.lastIndex = content;
    const close = brace.exec(source)?.index;
    if (close === undefined) return;
    const opened = content - open;
    const closed = afterRun(source, close, "}") - close;
    const width = Math.min(opened, closed, 3);
    if (width < 2 || close === content) {
      from = Math.max(close, content);
      continue;
    }
    const [start, end] = [content - width, close + width];
    yield { inner: source.slice(content, close), triple: width === 3, start, end };
    from = end;
  }
}

function afterRun(source: string, start: number, character: string): number {
  let i = start;
  while (source[i] === character) i++;
  return i;
}
