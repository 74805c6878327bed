/** Objects in the bucket for mail, as stages ask for them. */

/** As R2 takes them. */
const KEYS_PER_DELETE = 1_000;

export async function objectBytes(
  bucket: R2Bucket,
  key: string,
  range?: { offset: number; length: number },
): Promise<Uint8Array | undefined> {
  const object = await bucket.get(key, range ? { range } : undefined);
  return object ? new Uint8Array(await object.arrayBuffer()) : undefined;
}

export async function putObject(bucket: R2Bucket, key: string, bytes: Uint8Array): Promise<void> {
  await bucket.put(key, bytes);
}

export async function deleteObjects(bucket: R2Bucket, keys: string[]): Promise<void> {
  for (let i = 0; i < keys.length; i += KEYS_PER_DELETE)
    await bucket.delete(keys.slice(i, i + KEYS_PER_DELETE));
}
