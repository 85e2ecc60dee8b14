import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";

/** How a child ended. */
export interface ChildExit {
  /** "with code 1", "with signal SIGKILL". */
  readonly how: string;
  /** The last line it wrote to its error output, or "". */
  readonly lastError: string;
}

const errorBytesKept = 4096;

/**
 * One node as a child process. Its output goes to a log file; it leads a process group of its own,
 * so that Ctrl-C reaches the launcher alone, which then stops the nodes in good order.
 */
export class ChildNode {
  readonly id: number;
  readonly logFile: string;
  /** Never rejects. */
  readonly ended: Promise<ChildExit>;
  private readonly child: ChildProcess;
  private readonly log: number;
  private errors = "";
  private exit: ChildExit | null = null;

  /** @param script and its arguments, for this very Node.js. */
  constructor(id: number, script: readonly string[], logFile: string) {
    this.id = id;
    this.logFile = logFile;
    this.log = openSync(logFile, "a");
    this.child = spawn(process.execPath, [...script], {
      detached: true,
      // The channel is what `stopWhenParentDies` listens to.
      stdio: ["ignore", this.log, "pipe", "ipc"],
    });
    this.child.stderr?.on("data", (chunk: Buffer) => this.keepError(chunk));
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => resolve(this.end(`before it began: ${error.message}`)));
      this.child.once("close", (code, signal) =>
        resolve(this.end(signal === null ? `with code ${code}` : `with signal ${signal}`)),
      );
    });
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Null while it runs. */
  get exited(): ChildExit | null {
    return this.exit;
  }

  kill(signal: "SIGTERM" | "SIGKILL"): void {
    if (this.exit === null) this.child.kill(signal);
  }

  private keepError(chunk: Buffer): void {
    writeSync(this.log, chunk);
    this.errors = (this.errors + chunk.toString()).slice(-errorBytesKept);
  }

  private end(how: string): ChildExit {
    if (this.exit === null) {
      closeSync(this.log);
      const lines = this.errors.split("\n").filter((line) => line.trim() !== "");
      this.exit = { how, lastError: lines.at(-1)?.trim() ?? "" };
    }
    return this.exit;
  }
}
