import {
  damageAdvice,
  type StorageError,
  type StorageErrorCode,
} from "../../raft/persister/storageError.js";

/** One thing that is not as it should be, for people and for machines. */
export interface Damage {
  readonly code: StorageErrorCode;
  readonly what: string;
  readonly file: string | null;
  readonly offset: number | null;
  /** What an operator can do. */
  readonly advice: string;
}

const advices: { readonly [Code in StorageErrorCode]?: string } = {
  FOREIGN: "files of two directories were mixed: put each back where it came from",
  NEWER_FORMAT: "a newer version wrote this: use that version",
  IO: "the disk does not give it: copy what can be read to another disk, and verify the copy",
  UNUSABLE: "look at the owner and the mode of the file",
};

/** @param isHarmless a node starts all the same. */
export function describeDamage(error: StorageError, isHarmless: boolean): Damage {
  const { code, file, offset } = error;
  const what = error.explanation.replace(`; ${damageAdvice}`, "");
  const advice = isHarmless
    ? "the node does without it: the log, or a newer snapshot, has all of it"
    : (advices[code] ?? damageAdvice);
  return { code, what, file, offset, advice };
}

export function formatDamage({ what, file, offset, advice }: Damage): string {
  const place = `${file ?? ""}${offset === null ? "" : ` at byte ${offset}`}`;
  return `damage  ${place}: ${what}\n        ${advice}\n`;
}
