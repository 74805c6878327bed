/** Mail that Cloudflare's Email Routing brings: the same gate as the front door's, with what the platform lets us say. */
import { isOwnAddress, type OwnAddressNeeds } from "./own-address.ts";
import { type Received, type ReceiveNeeds, receive } from "./receive.ts";

export interface EmailRoutingNeeds extends ReceiveNeeds, OwnAddressNeeds {
  now(): number;
  newId(): string;
}

/**
 * A refusal is permanent here, so only an address that is certainly not ours is refused. When R2 or the directory is away this
 * throws, and the sending server is told that it failed for now: the platform documents no other temporary answer.
 */
export async function receiveRouted(
  message: Pick<ForwardableEmailMessage, "from" | "to" | "raw" | "setReject">,
  needs: EmailRoutingNeeds,
): Promise<void> {
  if (!(await isOwnAddress(message.to, needs))) {
    message.setReject("550 5.1.1 no such address here");
    return;
  }
  const raw = new Uint8Array(await new Response(message.raw).arrayBuffer());
  const received: Received = {
    v: 1,
    // The platform writes the null reverse-path in both ways.
    envelope: {
      reversePath: message.from === "<>" ? "" : message.from,
      recipients: [{ address: message.to }],
    },
    via: "email-routing",
    remoteAddress: "",
    session: "",
    receivedAt: needs.now(),
  };
  await receive(needs.newId(), received, raw, needs);
}
