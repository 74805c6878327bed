/**
 * Signatures write "rsa-sha256", and mailauth asks Node's `crypto.verify` for a digest of that name. workerd knows it as "RSA-SHA256"
 * alone (its BoringSSL minds the case), so that every RSA signature would be one that cannot be checked. This is the only place in the
 * Worker's rooms that touches Node's modules: what mailauth requires has to be the same object.
 */
import crypto from "node:crypto";

type Verify = (algorithm: string | null | undefined, ...more: unknown[]) => unknown;

let isDone = false;

/** From now on the name may be in any case, for everybody: those that were known stay known. */
export function knowDigestNamesInAnyCase(): void {
  if (isDone) return;
  const verify = crypto.verify as Verify;
  const inAnyCase: Verify = (algorithm, ...more) =>
    verify(/^rsa-sha\d+$/.test(algorithm ?? "") ? algorithm?.toUpperCase() : algorithm, ...more);
  Object.defineProperty(crypto, "verify", { value: inAnyCase, configurable: true, writable: true });
  isDone = true;
}
