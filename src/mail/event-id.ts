/** The name of an event that no MessageID names well enough: the same each time that the same fact is told, by whoever tells it. */

/** A UUID of version 8 (RFC 9562 §5.8), made of what says which fact it is: "<MessageID>", "Delivery", "jane@example.com". */
export async function eventId(...parts: (string | number)[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}
