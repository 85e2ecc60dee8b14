/** What is compared: each kind has a server, and a client that makes one call at a time or many. */
export interface Peer {
  /** Listens on a free port of the loopback, and returns it. */
  serve(): Promise<number>;
  connect(port: number, payload: Uint8Array): Promise<Caller>;
}

export interface Caller {
  /** Starts one call; `done` is called when its reply is there and was decoded. */
  call(done: () => void): void;
  close(): void;
}

/** A call that fails makes a measurement worthless. */
export function failed(error: unknown): never {
  process.nextTick(() => {
    throw error;
  });
  throw error;
}
