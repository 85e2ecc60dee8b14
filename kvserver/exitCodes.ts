import { StorageError, type StorageErrorCode } from "../raft/persister/storageError.js";

/** What a supervisor can tell from how a node ended; numbers as in sysexits.h where it has them. */
export const exitCodes = {
  usage: 2,
  /** The data is damaged or incomplete: starting again does not help. */
  damaged: 65,
  /** Something in the program went wrong; starting again may help. */
  failed: 70,
  /** There is no space left. */
  diskFull: 73,
  /** A read, write or sync failed. */
  diskFailed: 74,
  /** The data directory is in use, is that of another node, or can't be accessed. */
  directory: 77,
  /** By a signal; as a shell says it of SIGINT. */
  interrupted: 130,
} as const;

const ofStorage: Readonly<Record<StorageErrorCode, number>> = {
  LOCKED: exitCodes.directory,
  UNUSABLE: exitCodes.directory,
  WRONG_NODE: exitCodes.directory,
  DAMAGED: exitCodes.damaged,
  MISSING: exitCodes.damaged,
  FOREIGN: exitCodes.damaged,
  NEWER_FORMAT: exitCodes.damaged,
  DISK_FULL: exitCodes.diskFull,
  IO: exitCodes.diskFailed,
  CLOSED: exitCodes.failed,
  MISUSE: exitCodes.failed,
};

export function exitCodeOf(error: unknown, otherwise: number): number {
  return error instanceof StorageError ? ofStorage[error.code] : otherwise;
}
