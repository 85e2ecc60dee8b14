/** The ways in which a call to a disk fails, and what the next process finds then. */
import type { Prng } from "../../../sim/prng.js";
import type { MemoryDisk } from "../memoryDisk.js";
import type { Fault } from "./faultyDisk.js";

const failing = (errno: string, when: "before" | "midway" | "after", lasts = false): Fault => ({
  kind: "error",
  errno,
  when,
  lasts,
});

export const failures: Record<string, Fault> = {
  "EIO, once": failing("EIO", "before"),
  "EIO though it was done": failing("EIO", "after"),
  "EIO from then on": failing("EIO", "before", true),
  "ENOSPC, once": failing("ENOSPC", "before"),
  "ENOSPC half way": failing("ENOSPC", "midway"),
  "ENOSPC from then on": failing("ENOSPC", "before", true),
  "no byte written": { kind: "short", takes: () => 0, lasts: false },
};

export const shortWrites: Record<string, Fault> = {
  "all but a byte, once": { kind: "short", takes: (asked) => Math.max(1, asked - 1), lasts: false },
  "half, from then on": { kind: "short", takes: (asked) => Math.ceil(asked / 2), lasts: true },
  "a byte at a time": { kind: "short", takes: () => 1, lasts: true },
};

/** What the next process finds. */
export const aftermaths: Record<string, (disk: MemoryDisk, random: Prng) => void> = {
  "the process was killed": (disk) => disk.kill(),
  "the power went": (disk) => disk.crash(() => false),
  "the power went, some was kept": (disk, random) => disk.crash(() => random.chance(0.5)),
};

const codes: Record<string, string> = { EIO: "IO", ENOSPC: "DISK_FULL" };

/** The code with which whoever meets the fault ends. */
export function refusalCode(fault: Fault): string {
  return fault.kind === "error" ? codes[fault.errno]! : "IO";
}

/** Runs a trial whose failure is to say what was tried. */
export async function trying<T>(what: string, trial: () => Promise<T>): Promise<T> {
  try {
    return await trial();
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}
