/** A mail server that takes everything and keeps nothing: stands in for Postfix's smtp-sink where that is not installed. */
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

const server = new SMTPServer({
  disabledCommands: ["AUTH", "STARTTLS"],
  disableReverseLookup: true,
  onData(stream, _session, done) {
    stream.on("end", () => done());
    stream.resume();
  },
});
const listening = server.listen(0, "127.0.0.1", () => {
  process.send?.({ port: (listening.address() as AddressInfo).port });
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
