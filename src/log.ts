/** The log: a line of JSON for each thing that an operator may want to know. */
export function log(event: string, fields: Record<string, unknown>): void {
  console.log(JSON.stringify({ event, ...fields }));
}
