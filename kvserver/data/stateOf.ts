/** The key-value state in a snapshot file, record by record, in memory for a chunk of it at a time. */
import type { SnapshotReport } from "../../raft/persister/inspection.js";
import { snapshotHeaderBytes } from "../../raft/persister/snapshotFormat.js";
import { FileSnapshotReader } from "../../raft/persister/snapshotReader.js";
import { damaged } from "../../raft/persister/storageError.js";
import type { StorageFs } from "../../raft/persister/storageFs.js";
import { SnapshotFormatError } from "../snapshotRecords.js";
import { StateParser, type StateVisitor } from "../stateParser.js";

const readBytes = 256 * 1024;

/** The state's bytes, each block verified. @throws StorageError DAMAGED. */
export async function* snapshotChunks(
  fs: StorageFs,
  { file, meta }: SnapshotReport,
  storageId: Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = await FileSnapshotReader.open(fs, file, meta, storageId);
  try {
    for (let at = 0; at < reader.size; at += readBytes) yield await reader.read(at, readBytes);
  } finally {
    await reader.close();
  }
}

/**
 * Hands the records of the state in `file` to `visitor`; between chunks `pause` is awaited.
 * @throws StorageError DAMAGED for a block with a wrong checksum, and for bytes that are no state.
 */
export async function visitState(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
  visitor: StateVisitor,
  pause: () => Promise<void> = async () => {},
): Promise<void> {
  const parser = new StateParser(visitor);
  let offset = snapshotHeaderBytes;
  try {
    for await (const chunk of chunks) {
      parser.push(chunk);
      offset += chunk.length;
      await pause();
    }
    parser.finish();
  } catch (error) {
    if (!(error instanceof SnapshotFormatError)) throw error;
    throw damaged(error.message, file, offset);
  }
}

/** Refuses pairs that don't come in the order of their keys. */
export class KeyOrder {
  private previous: Uint8Array | null = null;

  /** @throws SnapshotFormatError. */
  check(key: Uint8Array): void {
    if (this.previous !== null && Buffer.compare(this.previous, key) >= 0) {
      throw new SnapshotFormatError("a key does not come after the one before it");
    }
    this.previous = Uint8Array.prototype.slice.call(key);
  }
}
