/** What the bench has started and must end, however it ends itself: the product's processes would outlive it. */

const running = new Set<() => Promise<void>>();

/** Remembers how to stop something; the function that it returns stops it once. */
export function toStop(stop: () => Promise<void>): () => Promise<void> {
  let stopped: Promise<void> | undefined;
  const once = () => {
    running.delete(once);
    stopped ??= stop();
    return stopped;
  };
  running.add(once);
  return once;
}

export async function stopAll(): Promise<void> {
  await Promise.allSettled([...running].map((stop) => stop()));
}
