/** Bounds of the checker and its tools. A check that reaches one is undecided, never legal. */
export interface CheckLimits {
  /** Operations that the search of one key may try to place. */
  readonly stepsPerKeyMax: number;
  /** Memory that the search of one key may hold, beside the history itself. */
  readonly memoryPerKeyBytesMax: number;
  /** Time for the whole history. */
  readonly checkMsMax: number;
}

export const checkDefaults: CheckLimits = {
  stepsPerKeyMax: 50_000_000,
  memoryPerKeyBytesMax: 512 * 1024 * 1024,
  checkMsMax: 60_000,
};

export const recorderDefaults = {
  /** Operations that one recorder holds; a further `begin` throws. */
  operationsMax: 2_000_000,
} as const;

export const drawingDefaults = {
  /** Operations in the drawing, those up to the unexplained one; earlier ones are only counted. */
  operationsDrawnMax: 300,
  /** Rows of the table that lists the end of the linearized prefix. */
  rowsShownMax: 40,
  /** Bytes of a value in a tooltip, a table or a message; of a longer one the middle is cut. */
  valueBytesShownMax: 512,
  /** The same on a bar of the drawing. */
  labelBytesShownMax: 12,
} as const;
