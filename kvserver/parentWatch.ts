/** What is used of `process` in a child that was started with an IPC channel. */
export interface ChildSide {
  /** Undefined in a process that was not started with a channel; stays when the channel closes. */
  readonly send?: unknown;
  readonly connected: boolean;
  readonly channel?: { unref(): void } | null | undefined;
  once(event: "disconnect", listener: () => void): unknown;
}

/**
 * In a node that a launcher started: calls `callback` once when the launcher is gone, however it
 * ended; at once when it is gone already. The system closes the channel between them even after
 * kill -9, so no node is left behind. Does nothing in a process that has no such channel, and keeps
 * no process alive.
 */
export function stopWhenParentDies(callback: () => void, self: ChildSide = process): void {
  if (self.send === undefined) return;
  if (!self.connected) {
    callback();
    return;
  }
  self.once("disconnect", callback);
  self.channel?.unref();
}
