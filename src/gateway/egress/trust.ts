/**
 * Which certificate authorities are believed: the usual ones, and those of EDGEPOST_CA_FILE. That file may come into being
 * after this process: the local world makes its own at its first start, beside us.
 */
import { existsSync, readFileSync } from "node:fs";
import {
  createSecureContext,
  getCACertificates,
  type SecureContext,
  setDefaultCACertificates,
} from "node:tls";

/** How often it is looked for, while it is not there. */
const LOOK_MS = 200;

export class Trust {
  readonly #caFile: string | undefined;
  #context: SecureContext | undefined;
  #isComplete: boolean;
  #lookedAt = 0;

  constructor(caFile: string | undefined) {
    this.#caFile = caFile;
    this.#isComplete = caFile === undefined;
  }

  /** Kept, since making one costs milliseconds. RFC 8996: nothing older than TLS 1.2. */
  context(): SecureContext {
    if (!this.#isComplete && Date.now() - this.#lookedAt >= LOOK_MS) this.#look();
    this.#context ??= createSecureContext({ minVersion: "TLSv1.2" });
    return this.#context;
  }

  #look(): void {
    this.#lookedAt = Date.now();
    if (!this.#caFile || !existsSync(this.#caFile)) return;
    // As the default, so that MTA-STS policies are fetched with it too.
    setDefaultCACertificates([...getCACertificates("default"), readFileSync(this.#caFile, "utf8")]);
    this.#context = undefined;
    this.#isComplete = true;
  }
}
