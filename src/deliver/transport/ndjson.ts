/** Lines of a response as they arrive, each with a bound: a gateway that never ends its line is not waited for. */
const MAX_LINE_CHARACTERS = 4_000_000;

export async function* readLines(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (pending + value).split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > MAX_LINE_CHARACTERS) throw new Error("line too long");
    for (const line of lines) if (line.trim() !== "") yield line;
  }
  // What is left without its line end was cut short, and says nothing.
}
