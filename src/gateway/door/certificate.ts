/**
 * The certificate and its key, from files, read again when they change: sessions that are open keep theirs. A pair that does not fit, as
 * while it is being written, is left alone until it does, and the one before stays.
 */
import { readFile, stat } from "node:fs/promises";
import { createSecureContext, type SecureContext } from "node:tls";

const LOOK_MS = 2_000;

/** What Node has by default, without CBC and SHA-1; those of TLS 1.3 are always on. */
export const CIPHERS = [
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

export interface CertificateNeeds {
  certFile: string;
  keyFile: string;
  log(event: string, fields: Record<string, unknown>): void;
}

export class Certificate {
  readonly #needs: CertificateNeeds;
  #context: SecureContext | undefined;
  /** What the files looked like when they were last read. */
  #seen = "";
  #isGood = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(needs: CertificateNeeds) {
    this.#needs = needs;
  }

  /** Throws when there is no good pair. */
  async load(): Promise<void> {
    const { certFile, keyFile } = this.#needs;
    this.#seen = await this.#look();
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    // RFC 8996: nothing older than TLS 1.2.
    this.#context = createSecureContext({ cert, key, minVersion: "TLSv1.2", ciphers: CIPHERS });
    this.#isGood = true;
  }

  /** `changed` is told of each new one. */
  watch(changed: (context: SecureContext) => void): void {
    this.#timer = setInterval(() => void this.#reload(changed), LOOK_MS);
    this.#timer.unref();
  }

  get context(): SecureContext {
    if (!this.#context) throw new Error("the certificate is not loaded yet");
    return this.#context;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #reload(changed: (context: SecureContext) => void): Promise<void> {
    const before = this.#seen;
    try {
      // One that was bad may have been read in the middle of its writing, which need not change its time.
      if (this.#isGood && (await this.#look()) === before) return;
      this.#isGood = false;
      await this.load();
      this.#needs.log("certificate reloaded", { file: this.#needs.certFile });
      changed(this.context);
    } catch (error) {
      // The old one goes on. Said once for each state of the files.
      this.#isGood = false;
      if (this.#seen !== before)
        this.#needs.log("certificate not usable", { error: String(error).slice(0, 300) });
    }
  }

  async #look(): Promise<string> {
    const { certFile, keyFile } = this.#needs;
    const files = await Promise.all([stat(certFile), stat(keyFile)]);
    return files.map((file) => `${file.ino} ${file.size} ${file.mtimeMs}`).join(" ");
  }
}
