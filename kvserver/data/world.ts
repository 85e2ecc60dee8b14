import type { StorageFs } from "../../raft/persister/storageFs.js";

/** What the tool takes from its process. */
export interface DataWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly fs: StorageFs;
  readonly stderrIsTty: boolean;
  /** Aborted by Ctrl-C: what is half made goes away, and the tool ends. */
  readonly signal: AbortSignal;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Resolves when more may come. */
  writeOut(text: string): Promise<void>;
  writeErr(text: string): void;
}

/** The user has had enough. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly code = "ERR_INTERRUPTED";

  constructor() {
    super("interrupted");
  }
}

/** What the user asked for can't be done; the message says why, and what can be done. */
export class DataError extends Error {
  override readonly name = "DataError";
  readonly code = "ERR_DATA";
}
