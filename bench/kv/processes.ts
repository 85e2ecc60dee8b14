import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** Linux reports CPU time in these units, whatever the kernel's own tick is. */
const ticksPerSecond = 100;
const pageBytes = 4096;

function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name, in parentheses, may hold anything.
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** CPU seconds that a process has used: proc(5), fields 14 and 15. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory of a process: proc(5), field 24. */
export function residentBytes(pid: number): number {
  return Number(statFields(pid)[21]) * pageBytes;
}

/** Files and sockets that a process holds. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Where `program` lies on PATH, or null. */
export function findProgram(program: string): string | null {
  for (const folder of (process.env["PATH"] ?? "").split(path.delimiter)) {
    const file = path.join(folder, program);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return null;
}

/** A program that is ended with this one, whatever happens. */
export class Program {
  private readonly file: string;
  private readonly args: readonly string[];
  private child!: ChildProcess;
  private exited!: Promise<void>;

  constructor(file: string, flags: Readonly<Record<string, string>>) {
    this.file = file;
    this.args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    this.start();
  }

  /** Again, after `stop`. */
  start(): void {
    const child = spawn(this.file, this.args, { stdio: "ignore" });
    this.child = child;
    this.exited = new Promise((resolve) => {
      child.once("exit", () => resolve());
    });
    const end = (): void => void child.kill("SIGKILL");
    process.once("exit", end);
    child.once("exit", () => process.off("exit", end));
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.child.spawnfile} did not start`);
    return this.child.pid;
  }

  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}

/** Between two looks whether a node serves again: its start is what is timed. */
export const revivalPollMs = 5;
/** Until it must serve again. */
export const revivalMsMax = 120_000;

/** Tries until `attempt` does not throw. */
export async function eventually<T>(
  attempt: () => Promise<T>,
  timeoutMs = 30_000,
  pauseMs = 100,
): Promise<T> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
