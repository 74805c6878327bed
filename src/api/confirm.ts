/**
 * Where the link of a confirmation message leads: a page that asks, and confirms only when its button is pressed, since mail scanners
 * follow links.
 */
import { Hono } from "hono";
import { html } from "hono/html";
import { confirmSender, findConfirmation } from "../accounts/sender-confirmation.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

/** Nothing is loaded, nothing frames it, and the address with its secret is told to nobody. */
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Robots-Tag": "noindex",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-store",
};

type Content = ReturnType<typeof html>;

export function confirmRoutes(needs: SettingsNeeds): Hono {
  const app = new Hono();
  const tokenOf = (url: string) => new URL(url).searchParams.get("token") ?? "";

  app.get("/confirm", async (c) => {
    const asked = await settled(findConfirmation(needs.directory, tokenOf(c.req.url), needs.now()));
    if (!asked)
      return page(404, "This link is not valid", html`<p>A later message may have another one.</p>`);
    const { state, email, account } = asked;
    if (state === "confirmed") return confirmed(email);
    if (state === "expired")
      return page(410, "This link is too old", html`<p>Ask ${account} for a new message.</p>`);
    return page(
      200,
      `May ${account} send from ${email}?`,
      html`<p>Mail that ${account} sends will carry your address as its sender.</p>
<form method="post"><button>Confirm ${email}</button></form>
<p>If you do not know what this is about, close this page.</p>`,
    );
  });

  app.post("/confirm", async (c) => {
    const token = tokenOf(c.req.url);
    const accountId = await settled(confirmSender(needs.directory, token, needs.now()));
    if (accountId !== undefined) await needs.accountChanged(accountId);
    const asked = await settled(findConfirmation(needs.directory, token, needs.now()));
    // Too old, or none of ours: the page itself says which.
    return asked?.state === "confirmed" ? confirmed(asked.email) : c.redirect(c.req.url, 303);
  });

  return app;
}

function confirmed(email: string): Promise<Response> {
  return page(200, `${email} is confirmed`, html`<p>Mail may be sent from it. You can close this page.</p>`);
}

async function page(status: number, title: string, content: Content): Promise<Response> {
  const body = await html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem; color: #222 }
button { font: inherit; padding: .6rem 1.2rem; cursor: pointer }
</style>
<h1>${title}</h1>
${content}
</html>
`;
  return new Response(String(body), {
    status,
    headers: { "Content-Type": "text/html; charset=utf-8", ...HEADERS },
  });
}
