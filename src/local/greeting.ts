/** What `npm start` prints: things to try, that work when pasted. */
import type { LocalJson } from "./start.ts";

export function greeting(local: LocalJson): string {
  const { http, world, from, serverToken } = local;
  return `
Edgepost is running.

  API        ${http}
  Inbox      ${world.http}/inbox
  Ledger     ${http}/health/ledger

Send a message, and see it in the inbox of the local world:

  curl ${http}/email -H 'Content-Type: application/json' -H 'X-Postmark-Server-Token: ${serverToken}' \\
    -d '{"From":"${from}","To":"you@anywhere.example","Subject":"Hello","TextBody":"It works."}'

  curl '${world.http}/inbox?to=you@anywhere.example'

Or with Postmark's own client:

  new postmark.ServerClient('${serverToken}', { requestHost: '${http.replace("http://", "")}', useHttps: false })

The local part of a recipient decides what its mail server does: hard-bounce@, greylist@, slow@ and more (README).
Stop with Ctrl-C. What was accepted is kept.
`;
}
