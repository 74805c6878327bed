/** The transport that delivers nowhere: the dashboard shows what would have been sent. */
import { alike, type Transport } from "./transport.ts";

export function sandboxTransport(now: () => number): Transport {
  return {
    async send(parcel) {
      return alike(parcel, now(), {
        result: "delivered",
        reply: { code: 250, enhanced: "2.0.0", text: "sandbox: not sent" },
        hop: { host: "sandbox", address: "", tls: "" },
      });
    },
  };
}
