/** A store under measurement: its processes, and callers that speak to it. */
export interface Target {
  readonly name: string;
  /** Starts it with empty data, and resolves when it serves. */
  start(): Promise<void>;
  /**
   * Callers over `connections` sockets to the node that serves writes. Any number of calls may be
   * in flight on each.
   */
  connect(connections: number): Promise<Caller[]>;
  processes(): Promise<Processes>;
  /** What the leader has counted since its start, if it tells. */
  counters(): Promise<Counters | null>;
  /** Ends one node that does not lead, where there is one, or all, as `kill -9` does. */
  kill(which: "one" | "all"): Promise<void>;
  /** Starts what was ended; resolves when it serves all that it held before. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}

export interface Caller {
  put(key: string, value: Uint8Array): Promise<unknown>;
  /** A linearizable read. */
  get(key: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface Processes {
  readonly leader: number;
  readonly followers: readonly number[];
}

export interface Counters {
  readonly entries: number;
  readonly syncs: number;
}
