/** Rows are what is billed, and a row holds 2 MB: many values go into one as a JSON array, of about half a megabyte at most. */

const PACK_CHARACTERS = 500_000;

/** In their order; a value that is longer than a pack has one to itself. */
export function* jsonPacks(values: Iterable<unknown>): Generator<{ count: number; text: string }> {
  let pack: string[] = [];
  let size = 0;
  const packed = () => ({ count: pack.length, text: `[${pack.join()}]` });
  for (const value of values) {
    const text = JSON.stringify(value);
    if (pack.length > 0 && size + text.length > PACK_CHARACTERS) {
      yield packed();
      pack = [];
      size = 0;
    }
    pack.push(text);
    size += text.length;
  }
  if (pack.length > 0) yield packed();
}
