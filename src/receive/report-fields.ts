/** The fields of reports (RFC 3464 §2.1, RFC 5965 §3): like a header's, in groups that blank lines part. */

/** A group has a dozen. */
const MAX_FIELDS = 200;
const MAX_VALUE = 8_000;
const FIELD = /^[ \t]?([A-Za-z][A-Za-z0-9-]{0,60})[ \t]*:(.*)$/;

/** A field's first value, by its name in lower case; folded lines stay lines, so that each line of a reply is known. */
export function parseFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let name = "";
  for (const line of text.split("\n")) {
    if (/^[ \t]/.test(line) && name) {
      const value = fields.get(name) ?? "";
      if (value.length < MAX_VALUE) fields.set(name, `${value}\n${line.trim()}`);
      continue;
    }
    const [, key, value] = FIELD.exec(line) ?? [];
    // Servers break long diagnostics without folding them.
    if (!key && name === "diagnostic-code" && line.trim() !== "") {
      const so = fields.get(name) ?? "";
      if (so.length < MAX_VALUE) fields.set(name, `${so}\n${line.trim()}`);
    }
    if (!key) continue;
    name = key.toLowerCase();
    if (fields.has(name) || fields.size >= MAX_FIELDS) name = "";
    else fields.set(name, (value ?? "").trim().slice(0, MAX_VALUE));
  }
  return fields;
}

/** "rfc822; <ann@x.example>" (RFC 3464 §2.1.2): the address; "" for other types and for what is none. */
export function addressIn(value: string): string {
  const [, type, rest] = /^\s*(?:([A-Za-z0-9-]{1,20})\s*;)?([\s\S]*)$/.exec(value.slice(0, 600)) ?? [];
  if (type && !/^(?:rfc-?822|utf-8(?:-addr(?:-unitext|-xtext)?)?|smtp|unknown|dns|mailto)$/i.test(type))
    return "";
  // RFC 6533 §3: "\x{E9}".
  const text = (rest ?? "").replace(/\\x\{([0-9a-f]{2,6})\}/gi, (whole, hex: string) => {
    const point = Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
  return plainAddress(text);
}

const ADDRESS = /([^\s<>@"(),:;[\]]{1,64}@[^\s<>@"(),:;[\]]{1,250}\.[^\s<>@"(),:;[\]]{1,63})/;

/** The first address of a text, without what stands around it; "" when it has none. */
export function plainAddress(text: string): string {
  return (ADDRESS.exec(text)?.[1] ?? "").replace(/[.'*]+$/, "").replace(/^['*]+/, "");
}
