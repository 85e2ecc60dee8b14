/**
 * Keeps a second process out of a data directory. Node has no flock, so the lock is a file, and a
 * file outlives a killed process; what follows tells a dead holder from one that is alive, and
 * takes over from the dead without a moment in which two can hold it.
 *
 * Each contender makes a file with a name of its own that says who it is, and only then looks for
 * others. Of two that come at once at least one sees the other's file, so never do both go on
 * (both may refuse). A dead process' file can be removed by anyone at any time: its name is never
 * used again, so nobody's live lock can be hit.
 *
 * A process is known by its pid, when it started, and the boot in which it runs: a pid alone is
 * soon given to another. Two machines that share a directory over the network are not kept apart,
 * nor are two containers with pid namespaces of their own.
 */
import { randomBytes } from "node:crypto";
import { readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, StorageError } from "./storageError.js";

/** `lock.<pid>.<start time>.<boot>.<random>`: all in the name, so it is never half written. */
const lockName = /^lock\.(\d+)\.([0-9a-z]+)\.([0-9a-z]+)\.[0-9a-f]+$/;

/** Where the system does not tell. */
const UNKNOWN = "unknown";

/** @throws StorageError LOCKED. */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const boot = await bootId();
  const started = (await startTime(process.pid)) ?? UNKNOWN;
  const own = `lock.${process.pid}.${started}.${boot}.${randomBytes(4).toString("hex")}`;
  const path = join(directory, own);
  await writeFile(path, "", { flag: "wx", mode: 0o600 });
  try {
    for (const name of await readdir(directory)) {
      if (name !== own) await refuseOrRemove(directory, name, boot);
    }
  } catch (error) {
    await unlink(path);
    throw error;
  }
  return () => removeFile(path);
}

async function refuseOrRemove(directory: string, name: string, boot: string): Promise<void> {
  const match = lockName.exec(name);
  if (match === null) return;
  const [, pid, started, holderBoot] = match;
  if (holderBoot === boot && (await isRunning(Number(pid), started!))) {
    throw new StorageError("LOCKED", `process ${pid} has ${directory} open`, {
      file: join(directory, name),
    });
  }
  await removeFile(join(directory, name));
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Whether the process that started then is still there. */
async function isRunning(pid: number, started: string): Promise<boolean> {
  if (started === UNKNOWN) return answersSignals(pid);
  return (await startTime(pid)) === started;
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}

/** In clock ticks since the boot; null when there is no such process or it has ended. */
async function startTime(pid: number): Promise<string | null> {
  const stat = await readText(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the program's name in brackets and may hold blanks and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  // A killed process whose parent has not fetched its status yet holds no file any more.
  if (state === "Z" || state === "X") return null;
  return fields[19] ?? null;
}

async function bootId(): Promise<string> {
  const id = await readText("/proc/sys/kernel/random/boot_id");
  return id === null ? UNKNOWN : id.trim().replaceAll("-", "");
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "latin1");
  } catch {
    return null;
  }
}
