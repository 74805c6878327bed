/** Writes replies so that those to commands which came together leave together (RFC 2920 §3.2), in one packet and one TLS record. */
import type { Socket } from "node:net";

export class ReplyWriter {
  #isCorked = false;

  write(socket: Socket, text: string): void {
    if (!socket.writable) return;
    if (!this.#isCorked) {
      this.#isCorked = true;
      socket.cork();
      // When all that could be answered at once is answered.
      process.nextTick(() => {
        this.#isCorked = false;
        socket.uncork();
      });
    }
    socket.write(text);
  }
}
