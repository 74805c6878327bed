/** How values of a model are printed: as .NET prints them, because templates were written against that. */

/** Everything in JSON. A model is an object at its root. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** "" for what has no text of its own: null, objects and arrays. */
export function print(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      return printNumber(value);
    case "boolean":
      return value ? "True" : "False";
    default:
      return "";
  }
}

/** Integers plain, others by the fewest digits that tell them apart; past 15 digits or under 0.0001 as "1.5E-05". */
function printNumber(value: number): string {
  if (value === 0) return "0";
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  const plain = Number.isInteger(value) ? power < 21 : power >= -4 && power < 15;
  if (plain) return String(value);
  return `${digits}E${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/**
 * Of HTML, for text and for attributes. U+00A0 to U+00FF become numbers because .NET's encoder does that: it shows the
 * same, and whoever compares a rendered body with one from before finds the same characters.
 */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'\u00a0-\u00ff]/g, (c) => NAMED[c] ?? `&#${c.charCodeAt(0)};`);
}

const NAMED: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
