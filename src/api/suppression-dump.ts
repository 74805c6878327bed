/**
 * A dump of suppressions has no pages on the wire, and a stream may have millions: it is read from the directory page by page, and
 * each page is sent before the next is read, so that what is held of it stays small.
 */
import type { Suppression } from "../suppress/search.ts";
import { formatSecond } from "./time.ts";

/** About half a megabyte of JSON; a million rows take 200 queries of the thousand that one request may make. */
const PAGE_ROWS = 5_000;

/** `read` gives what comes behind an address. Rejects while nothing has been sent; later a failure ends the answer in its middle. */
export async function dumpResponse(
  read: (after: string | undefined, limit: number) => Promise<Suppression[]>,
): Promise<Response> {
  const encoder = new TextEncoder();
  const next = async (after?: string) => {
    const rows = await read(after, PAGE_ROWS);
    return { rows, last: rows.length < PAGE_ROWS ? undefined : rows.at(-1)?.email };
  };
  let page = await next();
  let text = '{"Suppressions":[';
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      text += page.rows.map((row) => JSON.stringify(shown(row))).join();
      const { last } = page;
      if (last !== undefined) page = await next(last);
      const isMore = last !== undefined && page.rows.length > 0;
      controller.enqueue(encoder.encode(text + (isMore ? "," : "]}")));
      text = "";
      if (!isMore) controller.close();
    },
  });
  const headers = { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store" };
  return new Response(body, { headers });
}

function shown({ email, reason, origin, createdAt }: Suppression) {
  return {
    EmailAddress: email,
    SuppressionReason: reason,
    Origin: origin,
    CreatedAt: formatSecond(createdAt),
  };
}
