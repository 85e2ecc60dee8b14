/** What a data directory knows of itself: whose it is, and the id that its files carry. */
import { join } from "node:path";
import { getU32, putU32 } from "./bytes.js";
import { crc32c } from "./crc32c.js";
import { storageIdBytes } from "./segment.js";
import { temporarySuffix } from "./segmentFiles.js";
import { damageAdvice, damaged, StorageError } from "./storageError.js";
import { dataSync, readWhole, type StorageFs } from "./storageFs.js";

const FILE = "identity";
const MAGIC = Buffer.from("RAFTNODE", "latin1");
const VERSION = 1;
const BYTES = 64;
const CRC_AT = 60;

export interface Identity {
  readonly nodeId: number;
  /** Random; ties every segment and snapshot to this directory. */
  readonly storageId: Uint8Array;
  /** Whether the log was begun. Until then the directory has acknowledged nothing. */
  readonly initialised: boolean;
}

export function encodeIdentity(identity: Identity): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  bytes.set(MAGIC);
  putU32(bytes, 8, VERSION);
  putU32(bytes, 12, identity.nodeId);
  bytes.set(identity.storageId, 16);
  putU32(bytes, 32, identity.initialised ? 1 : 0);
  putU32(bytes, CRC_AT, crc32c(bytes, 0, CRC_AT));
  return bytes;
}

function decodeIdentity(bytes: Uint8Array, file: string): Identity {
  if (bytes.length !== BYTES || Buffer.compare(bytes.subarray(0, MAGIC.length), MAGIC) !== 0) {
    throw damaged("the file is not a data directory's identity", file, 0);
  }
  if (getU32(bytes, CRC_AT) !== crc32c(bytes, 0, CRC_AT)) {
    throw damaged("the identity has a wrong checksum", file, 0);
  }
  const version = getU32(bytes, 8);
  if (version > VERSION) {
    const explanation = `the directory has version ${version}, this program knows ${VERSION}`;
    throw new StorageError("NEWER_FORMAT", explanation, { file, offset: 8 });
  }
  return {
    nodeId: getU32(bytes, 12),
    storageId: bytes.slice(16, 16 + storageIdBytes),
    initialised: getU32(bytes, 32) === 1,
  };
}

/**
 * The identity of the directory with these files, or null for a new one.
 * @throws StorageError WRONG_NODE, or for an identity that is damaged or gone.
 */
export async function loadIdentity(
  fs: StorageFs,
  directory: string,
  names: readonly string[],
  nodeId: number,
): Promise<Identity | null> {
  const identity = await readIdentity(fs, directory, names);
  if (identity === null || identity.nodeId === nodeId) return identity;
  const why = `${directory} is that of node ${identity.nodeId}, this is node ${nodeId}`;
  throw new StorageError("WRONG_NODE", why, { file: join(directory, FILE) });
}

/** As `loadIdentity`, whichever node's it is. */
export async function readIdentity(
  fs: StorageFs,
  directory: string,
  names: readonly string[],
): Promise<Identity | null> {
  const path = join(directory, FILE);
  if (!names.includes(FILE)) {
    const other = names.find((name) => /^(wal|snapshot)-/.test(name));
    if (other === undefined) return null;
    const why = `${other} is there, but not the identity of the directory; ${damageAdvice}`;
    throw new StorageError("MISSING", why, { file: path });
  }
  const file = await fs.open(path, "read");
  try {
    return decodeIdentity(await readWhole(file), path);
  } finally {
    await file.close();
  }
}

export async function storeIdentity(
  fs: StorageFs,
  directory: string,
  identity: Identity,
): Promise<void> {
  const path = join(directory, FILE);
  const file = await fs.open(path + temporarySuffix, "create");
  try {
    await file.write(encodeIdentity(identity), 0);
    await dataSync(file);
  } finally {
    await file.close();
  }
  await fs.rename(path + temporarySuffix, path);
  await fs.syncDirectory(directory);
}
