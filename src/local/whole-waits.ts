/**
 * Miniflare's client of D1 and R2 blocks its thread with Atomics.wait until another thread has stored 1 and notified. When that
 * thread is held up between the two, the notification meets the next wait, whose answer is not there yet, and Miniflare fails with
 * `message?.id === id` (seen on a loaded machine, with 4.20260730). A wait that ends before its value has changed goes on here.
 */
const wait = Atomics.wait;

Atomics.wait = ((array: Int32Array, index: number, value: number, timeout?: number) => {
  for (;;) {
    const ended = wait(array, index, value, timeout);
    if (ended !== "ok" || timeout !== undefined || Atomics.load(array, index) !== value) return ended;
  }
}) as typeof Atomics.wait;
