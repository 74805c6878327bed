/** The least that SMTP with STARTTLS and AUTH costs in Node: the library smtp-server, which logs everybody in and keeps nothing. */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

const server = new SMTPServer({
  cert: readFileSync(process.env.BENCH_CERT ?? ""),
  key: readFileSync(process.env.BENCH_KEY ?? ""),
  authOptional: true,
  allowInsecureAuth: true,
  disableReverseLookup: true,
  onAuth(auth, _session, done) {
    done(null, { user: auth.username });
  },
  onData(stream, _session, done) {
    stream.on("end", () => done());
    stream.resume();
  },
});
// A client that goes away in the middle is nobody's fault.
server.on("error", () => undefined);
const listening = server.listen(0, "127.0.0.1", () => {
  process.send?.({ port: (listening.address() as AddressInfo).port });
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
