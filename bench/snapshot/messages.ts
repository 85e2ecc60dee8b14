/** What the benchmark tells a node that it watches, and what that answers. */
export type Order =
  /** Forget what was measured. */
  | { readonly kind: "reset" }
  /** Send a `Report` of what was measured since. */
  | { readonly kind: "report" }
  /** Take snapshots, one after the other, from now on; or no more of them. */
  | { readonly kind: "snapshots"; readonly on: boolean };

export interface Report {
  /** Delays of the event loop in ms. */
  readonly delayP50: number;
  readonly delayP99: number;
  readonly delayMax: number;
  /** The longest stop for the garbage collector, in ms. */
  readonly gcMax: number;
  /** Snapshots that were finished, and the time that one took on average, in ms. */
  readonly snapshots: number;
  readonly snapshotMs: number;
}
