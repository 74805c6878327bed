/** What a server says it can do, out of its reply to EHLO (RFC 5321 §4.1.1.1). */
export interface Extensions {
  /** RFC 2920. */
  pipelining: boolean;
  startTls: boolean;
  /** RFC 6152. */
  eightBitMime: boolean;
  /** RFC 6531. */
  smtpUtf8: boolean;
  /** RFC 1870: whether SIZE is known, and the most it takes; 0 when it names no limit. */
  size: boolean;
  maxSize: number;
}

export const NO_EXTENSIONS: Extensions = {
  pipelining: false,
  startTls: false,
  eightBitMime: false,
  smtpUtf8: false,
  size: false,
  maxSize: 0,
};

export function readExtensions(lines: string[]): Extensions {
  const words = lines.slice(1).map((line) => line.slice(4).trim().toUpperCase().split(/\s+/, 2));
  const has = (keyword: string) => words.some(([word]) => word === keyword);
  const size = Number(words.find(([word]) => word === "SIZE")?.[1] ?? 0);
  return {
    pipelining: has("PIPELINING"),
    startTls: has("STARTTLS"),
    eightBitMime: has("8BITMIME"),
    smtpUtf8: has("SMTPUTF8"),
    size: has("SIZE"),
    maxSize: Number.isSafeInteger(size) && size > 0 ? size : 0,
  };
}
