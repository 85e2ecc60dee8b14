/**
 * What `read` gives for 0 up to, not including, `count`: the next is read while one is used. It ends
 * with no read under way, whatever ends it, so that the file can be closed.
 */
export async function* readAhead<T>(
  count: number,
  read: (part: number) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  let ahead: Promise<T> | null = null;
  const begin = (part: number): Promise<T> => {
    const reading = read(part);
    // Whoever waits for it learns of a failure; it may be that an earlier one failed.
    reading.catch(() => {});
    return reading;
  };
  try {
    for (let part = 0; part < count; part++) {
      const current: Promise<T> = ahead ?? begin(part);
      ahead = part + 1 < count ? begin(part + 1) : null;
      yield await current;
    }
  } finally {
    await ahead?.catch(() => {});
  }
}
