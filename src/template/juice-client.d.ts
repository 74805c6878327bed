/** What we use of juice's entry for browsers, which has no types of its own; the one for Node would bring a fetcher along. */
declare module "juice/client" {
  import type { CheerioAPI } from "cheerio/slim";

  interface InlineOptions {
    /** Its resolution of var() does not end when a variable names itself. */
    resolveCSSVariables: false;
  }

  const juice: {
    /** Puts the CSS into the document's style attributes; leaves its style elements alone. */
    inlineDocument($: CheerioAPI, css: string, options: InlineOptions): void;
  };
  export default juice;
}
