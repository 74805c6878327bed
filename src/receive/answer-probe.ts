/**
 * A probe that has reached one of our own addresses: it is reported as undeliverable, to the return path that it came with. Nothing else
 * that is received is ever answered, and a probe only at an address and from a return path that this deployment signed for one server.
 */
import { parseReturnPath, type SignedFor } from "../mail/return-path.ts";
import type { Received } from "./receive.ts";

export interface AnswerNeeds {
  returnPathKey(): Promise<CryptoKey>;
  log(event: string, fields: Record<string, unknown>): void;
  /** Sends the report, once for its key. */
  sendProbeReport(report: {
    key: string;
    to: string;
    probe: { id: string; address: string; receivedAt: number; raw: Uint8Array };
  }): Promise<void>;
}

export async function answerProbe(
  needs: AnswerNeeds,
  { address, of }: { address: string; of: SignedFor },
  { name, received, raw }: { name: string; received: Received; raw: Uint8Array },
): Promise<void> {
  const { reversePath } = received.envelope;
  const from = await parseReturnPath(await needs.returnPathKey(), reversePath);
  if (!from || from.serverId !== of.serverId)
    return needs.log("probe not answered", { name, why: "it did not come from a return path of its server" });
  const probe = { id: from.messageId, address: address.toLowerCase(), receivedAt: received.receivedAt, raw };
  await needs.sendProbeReport({ key: `probe/${from.messageId}`, to: reversePath, probe });
  needs.log("probe answered", { name, messageId: from.messageId, serverId: of.serverId });
}
