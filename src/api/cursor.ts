/**
 * Paging past the 10,000th row, which is ours: a list that has more says `NextCursor`, and the same request with `cursor` set to it
 * goes on behind the last row of that page. It holds the sort key of that row and nothing that decides who may see what.
 */
import * as z from "zod";

/** A link may be part of it. */
const MAX_CURSOR = 8_000;

/** To a string that a URL takes as it is. */
export function formatCursor(key: (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/** A `cursor` parameter whose key is of this shape: `cursorParameter(z.tuple([z.number(), z.string()]))`. */
export function cursorParameter<S extends z.ZodType>(shape: S) {
  return z
    .string()
    .transform((text, context): z.infer<S> => {
      const key = shape.safeParse(parse(text));
      if (key.success) return key.data;
      context.addIssue({ code: "custom", message: "is not a cursor that this list gave" });
      return z.NEVER;
    })
    .meta({
      openapi: {
        type: "string",
        description: "The `NextCursor` of the page before; `offset` is then ignored.",
      },
    });
}

function parse(text: string): unknown {
  if (text.length > MAX_CURSOR) return undefined;
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    // Not one of ours, which the caller says.
    return undefined;
  }
}
