import { readFileSync } from "node:fs";

/** Of the files that a node may open, those for its log, its snapshots and the other nodes. */
const filesKept = 256;
/** Of a limit so low that this would be most of it. */
const shareKept = 1 / 2;

/** Files and sockets that this process may open (`ulimit -n`); Infinity where that is not told. */
export function openFilesMax(): number {
  let limits;
  try {
    limits = readFileSync("/proc/self/limits", "latin1");
  } catch {
    return Infinity;
  }
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Infinity : Number(soft);
}

/** How many of `wanted` connections fit: a node that can't open its next file must stop. */
export function connectionsThatFit(wanted: number, filesMax: number): number {
  const kept = Math.min(filesKept, Math.ceil(filesMax * shareKept));
  return Math.max(1, Math.min(wanted, filesMax - kept));
}
