import { levelsMax } from "./skipListNodes.js";

/** Draws the height of a new node, from 1 to `levelsMax`. */
export type LevelSource = () => number;

/** A quarter of the nodes of each level reach the next one; the same seed gives the same heights. */
export function seededLevels(seed: number): LevelSource {
  // xorshift32 never leaves 0, so it must not start there.
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const zerosAtEnd = 31 - Math.clz32(state & -state);
    return Math.min(1 + (zerosAtEnd >> 1), levelsMax);
  };
}
