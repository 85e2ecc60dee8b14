/** A log under measurement: what is given to `write` at once shares a sync. */
export interface Store {
  readonly name: string;
  /** Empty, in a directory of its own. */
  open(directory: string): Promise<void>;
  /** Appends entries that follow those before; resolves when they would survive a crash. */
  write(entries: readonly Uint8Array[]): Promise<void> | void;
  close(): Promise<void> | void;
}
