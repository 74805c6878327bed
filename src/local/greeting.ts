/** What `npm start` prints: things to try, that work when pasted. */
import type { LocalJson } from "./start.ts";

export function greeting(local: LocalJson): string {
  const { http, world, smtp, from, serverToken } = local;
  return `
Edgepost is running.

  API        ${http}
  SMTP       ${smtp.host}:${smtp.port} with STARTTLS, ${smtp.host}:${smtp.tlsPort} with TLS at once
  Inbox      ${world.http}/inbox
  Ledger     ${http}/health/ledger

Send a message, and see it in the inbox of the local world:

  curl ${http}/email -H 'Content-Type: application/json' -H 'X-Postmark-Server-Token: ${serverToken}' \\
    -d '{"From":"${from}","To":"you@anywhere.example","Subject":"Hello","TextBody":"It works."}'

  curl '${world.http}/inbox?to=you@anywhere.example'

By SMTP, with the server's token as user and password:

  swaks --server ${smtp.host}:${smtp.port} -tls --auth PLAIN --auth-user ${serverToken} --auth-password ${serverToken} \\
    --from ${from} --to you@anywhere.example --header 'Subject: Hello by SMTP'

Or with Postmark's own client:

  new postmark.ServerClient('${serverToken}', { requestHost: '${http.replace("http://", "")}', useHttps: false })

The local part of a recipient decides what its mail server does: hard-bounce@, greylist@, slow@ and more (README).
Stop with Ctrl-C. What was accepted is kept.
`;
}
