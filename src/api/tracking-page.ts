/** The pages that people see behind links of messages: small, without anything from elsewhere, readable without script and on a phone. */
import { html, raw } from "hono/html";

export interface PageContent {
  status: number;
  title: string;
  paragraphs: string[];
  /** A button that posts to the page's own address. */
  form?: PageForm;
}

export interface PageForm {
  action: "unsubscribe" | "resubscribe";
  label: string;
  /** It is what people have come for: a person who is seen to be there need not press it. */
  isWhyTheyCame?: true;
}

const STYLE = `
:root { color-scheme: light dark }
body { margin: 0; font: 1.125rem/1.55 system-ui, sans-serif; background: #f4f5f7; color: #1c1e21; overflow-wrap: anywhere }
main { box-sizing: border-box; max-width: 34rem; margin: 12vh auto 2rem; padding: 2rem; background: #fff; border-radius: .75rem; border: 1px solid #d9dce1 }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25 }
p { margin: 0 0 1rem }
form { margin: 1.5rem 0 0 }
button { font: inherit; font-weight: 600; min-height: 3rem; padding: .5rem 1.5rem; border: 0; border-radius: .5rem; background: #1f4ed8; color: #fff; cursor: pointer }
button.other { background: none; color: inherit; font-weight: 400; text-decoration: underline; padding: .5rem 0; margin-top: 1.5rem }
button:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px }
@media (max-width: 36rem) { main { margin: 0; min-height: 100vh; border: 0; border-radius: 0; padding: 2rem 1.25rem } button { width: 100% } }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e8eaed } main { background: #22252b; border-color: #3a3f47 } button:not(.other) { background: #8ab4ff; color: #10131a } }
`;

/**
 * Scanners that follow links run scripts too, and sandboxes stay for a while: so it waits for a page that is looked at, outside of an
 * automated browser, and for a sign of a hand. Without any of this the button is there.
 */
const PRESS_FOR_PEOPLE = `
const form = document.querySelector("form");
let pressed = false;
form.addEventListener("submit", (event) => { if (pressed) event.preventDefault(); pressed = true; });
const signs = ["pointermove", "pointerdown", "touchmove", "wheel", "keydown"];
const see = (event) => {
  if (pressed || !event.isTrusted || navigator.webdriver) return;
  if (document.visibilityState !== "visible" || !document.hasFocus() || performance.now() < 1000) return;
  for (const sign of signs) removeEventListener(sign, see);
  form.requestSubmit();
};
for (const sign of signs) addEventListener(sign, see, { passive: true });
`;

/** Who presses a button while the page before it gives way to this one did not mean this one's. */
const IGNORE_HASTE = `
document.querySelector("form").addEventListener("submit", (event) => { if (performance.now() < 1000) event.preventDefault(); });
`;

export async function pageResponse({ status, title, paragraphs, form }: PageContent): Promise<Response> {
  const nonce = crypto.randomUUID();
  const code = form?.isWhyTheyCame ? PRESS_FOR_PEOPLE : IGNORE_HASTE;
  const script = form ? html`<script nonce="${nonce}">${raw(code)}</script>` : "";
  const button =
    form &&
    html`<form method="post">
<input type="hidden" name="action" value="${form.action}">
<button class="${form.isWhyTheyCame ? "" : "other"}">${form.label}</button>
</form>`;
  const body = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style nonce="${nonce}">${raw(STYLE)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${paragraphs.map((text) => html`<p>${text}</p>`)}
${button ?? ""}
</main>
${script}
</body>
</html>
`;
  return new Response(String(body), {
    status,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": [
        "default-src 'none'",
        `style-src 'nonce-${nonce}'`,
        `script-src 'nonce-${nonce}'`,
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ].join("; "),
      // Its address is what unsubscribes.
      "Referrer-Policy": "no-referrer",
      "X-Robots-Tag": "noindex, nofollow",
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-store",
    },
  });
}

/** For what we did not make: it leads nowhere, and says nothing of what is wrong with it. */
export function notALink(): Promise<Response> {
  const text = "It may have been cut off or changed on its way. Please use the link in the message itself.";
  return pageResponse({ status: 404, title: "This link does not work", paragraphs: [text] });
}
