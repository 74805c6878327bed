/** Changes to a text at places that were found in it. Pure; what lies between them stays as it is. */
export interface Edit {
  from: number;
  /** Behind the last character; `from` to put something in. */
  to: number;
  text: string;
}

/** In any order. They do not overlap; at one place, what is put in stands before what is replaced. */
export function applyEdits(text: string, edits: Edit[]): string {
  let out = "";
  let at = 0;
  for (const edit of edits.toSorted((a, b) => a.from - b.from || a.to - b.to)) {
    if (edit.from < at) throw new Error("edits overlap");
    out += text.slice(at, edit.from) + edit.text;
    at = edit.to;
  }
  return out + text.slice(at);
}
