/** What is used of `process` in a child that was started with an IPC channel. */
export interface ChildSide {
  readonly connected: boolean;
  readonly channel?: { unref(): void } | undefined;
  once(event: "disconnect", listener: () => void): unknown;
}

/**
 * In a node that a launcher started: calls `callback` once when the launcher is gone, however it
 * ended. The system closes the channel between them even after kill -9, so no node is left behind.
 * Does nothing in a process that has no such channel, and keeps no process alive.
 */
export function stopWhenParentDies(callback: () => void, self: ChildSide = process): void {
  if (self.channel === undefined || self.channel === null) return;
  self.once("disconnect", callback);
  self.channel.unref();
}
