/** The loop around a system call that may write less than it was given. */
import { StorageError } from "./storageError.js";

/** Writes some of the bytes after the first `done`, at `position` of the file; tells how many. */
export type WriteSome<Result> = (done: number, position: number) => Result;

/** @throws StorageError IO when a write makes no progress: asking again might never end. */
export function writeFullySync(
  file: string,
  length: number,
  position: number,
  writeSome: WriteSome<number>,
): void {
  for (let done = 0; done < length;) {
    done += progressOf(writeSome(done, position + done), file, position + done);
  }
}

/** As above, one call after the other. */
export async function writeFully(
  file: string,
  length: number,
  position: number,
  writeSome: WriteSome<Promise<number>>,
): Promise<void> {
  for (let done = 0; done < length;) {
    done += progressOf(await writeSome(done, position + done), file, position + done);
  }
}

function progressOf(written: number, file: string, offset: number): number {
  if (written > 0) return written;
  throw new StorageError("IO", "a write of more than 0 bytes wrote none", { file, offset });
}
