/** A replacement of one piece of source, which must stand in its file exactly once. */
export interface Edit {
  /** From the root of the project. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** One way in which Raft, or what is built on it, could be wrong. */
export interface Mutant {
  readonly name: string;
  /** What it does wrong, in a few words. */
  readonly breaks: string;
  /** Where the broken part is: it says which suites ought to notice. */
  readonly layer: "core" | "joining" | "server" | "storage";
  readonly edits: readonly Edit[];
}

export class AnchorError extends Error {
  override readonly name = "AnchorError";
}

/** @throws AnchorError when what is to be replaced is not there, or not once. */
export function applyEdit(source: string, { file, from, to }: Edit): string {
  const parts = source.split(from);
  if (parts.length !== 2)
    throw new AnchorError(`${file} has ${parts.length - 1} times, not once:\n${from}`);
  return parts.join(to);
}
