/** An assertion of the core failed: our own code is wrong, and the node must stop. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Stays on in production; `describe` runs only on failure. */
export function invariant(condition: boolean, describe: () => string): asserts condition {
  if (!condition) throw new InvariantError(describe());
}
