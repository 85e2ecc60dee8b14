/**
 * Removes a large file without a stall: what the kernel gives back in one go holds up every sync on
 * that disk, for a quarter of a gigabyte some 70 ms.
 */
import { open, unlink, type FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** What is given back at once: a millisecond or two. */
const stepBytes = 4 * 1024 * 1024;
/** For the syncs of others, between two steps. */
const pauseMs = 5;

/**
 * Resolves when the name is gone. The space follows, 500 MB of it in a second, or at once when the
 * process ends. Nobody may read the file any more: it becomes shorter.
 */
export async function unlinkGently(path: string): Promise<void> {
  const file = await open(path, "r+").catch(() => null);
  if (file === null) return unlink(path);
  try {
    await unlink(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  void giveBack(file);
}

async function giveBack(file: FileHandle): Promise<void> {
  try {
    const { size, nlink } = await file.stat();
    // Under another name it is still somebody's: a backup may be made of links.
    if (nlink > 0) return;
    for (let left = size - stepBytes; left > 0; left -= stepBytes) {
      await file.truncate(left);
      await sleep(pauseMs, undefined, { ref: false });
    }
  } catch {
    // What is left of it goes at the close.
  } finally {
    await file.close().catch(() => undefined);
  }
}
