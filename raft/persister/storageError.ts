/** Everything that can go wrong with a data directory, and when. Codes are stable. */
export const storageErrorCodes = {
  /** A process that is alive has the directory open. */
  LOCKED: "the data directory is in use",
  /** It can't be created, read or written: permissions, read-only, not a directory. */
  UNUSABLE: "the data directory can't be used",
  /** It was created by a node with another id. */
  WRONG_NODE: "the data directory belongs to another node",
  /** Bytes that were synced are not what was written. */
  DAMAGED: "the stored data is damaged",
  /** A file that others refer to is gone. */
  MISSING: "stored data is missing",
  /** A file that was written by another data directory. */
  FOREIGN: "a file belongs to another data directory",
  /** Written by a later version of this program. */
  NEWER_FORMAT: "the stored format is newer than this program",
  DISK_FULL: "the disk is full",
  /** A read, write or sync failed. */
  IO: "the disk failed",
  /** Called after `close`. */
  CLOSED: "the persister is closed",
  /** The caller broke the interface's rules: a gap between entries, a second writer. */
  MISUSE: "the persister was used wrongly",
} as const;

export type StorageErrorCode = keyof typeof storageErrorCodes;

export interface StorageErrorDetails {
  readonly file?: string;
  /** Of the first byte in `file` that is not as it should be. */
  readonly offset?: number;
  readonly cause?: unknown;
}

/** What the persister throws, rejects with and hands to `onFailure`. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly code: StorageErrorCode;
  /** What is wrong, without the place. */
  readonly explanation: string;
  readonly file: string | null;
  readonly offset: number | null;

  constructor(code: StorageErrorCode, explanation: string, details: StorageErrorDetails = {}) {
    super(message(code, explanation, details), { cause: details.cause });
    this.code = code;
    this.explanation = explanation;
    this.file = details.file ?? null;
    this.offset = details.offset ?? null;
  }
}

function message(code: StorageErrorCode, explanation: string, at: StorageErrorDetails): string {
  const offset = at.offset === undefined ? "" : ` at byte ${at.offset}`;
  const place = at.file === undefined ? "" : ` (${at.file}${offset})`;
  return `${storageErrorCodes[code]}: ${explanation}${place}`;
}

const codeOfErrno: Readonly<Record<string, StorageErrorCode>> = {
  EACCES: "UNUSABLE",
  EPERM: "UNUSABLE",
  EROFS: "UNUSABLE",
  ENOTDIR: "UNUSABLE",
  EISDIR: "UNUSABLE",
  ENAMETOOLONG: "UNUSABLE",
  ELOOP: "UNUSABLE",
  ENOSPC: "DISK_FULL",
  EDQUOT: "DISK_FULL",
  EFBIG: "DISK_FULL",
};

/** Translates what the operating system reported; every `StorageFs` does so at its edge. */
export function systemError(cause: unknown, doing: string, file: string): StorageError {
  if (cause instanceof StorageError) return cause;
  const errno = errnoOf(cause);
  return new StorageError(codeOfErrno[errno] ?? "IO", `${doing} failed with ${errno}`, {
    file,
    cause,
  });
}

/** `ENOENT` and the like, or the text of an error that has no such code. */
export function errnoOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

/** What is damaged can't be repaired here without guessing; the cluster has the data, though. */
export const damageAdvice =
  "restore the directory from a copy, or start the node with --rebuild while all others run: " +
  "it then gets everything from them before it votes";

export function damaged(explanation: string, file: string, offset: number): StorageError {
  return new StorageError("DAMAGED", `${explanation}; ${damageAdvice}`, { file, offset });
}
