/** A real node's disk, one call to which fails when a test says so: see failingDisk.c. */
import { execFile } from "node:child_process";
import { access, rename, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);
const source = new URL("failingDisk.c", import.meta.url).pathname;

export type DiskCall = "fdatasync" | "pwrite" | "pread";

export class FailingDisk {
  readonly id: number;
  /** What bash does before it becomes the node. */
  readonly shell: string;
  private readonly order: string;

  private constructor(id: number, library: string, order: string) {
    this.id = id;
    this.shell = `export LD_PRELOAD='${library}' FAILING_DISK='${order}'`;
    this.order = order;
  }

  /** Of node `id`; its files go to `folder`. Returns why not where that can't be done. */
  static async make(folder: string, id: number): Promise<FailingDisk | string> {
    if (process.platform !== "linux") return `no LD_PRELOAD on ${process.platform}`;
    const library = path.join(folder, "failingDisk.so");
    try {
      await access(library).catch(() =>
        execute("gcc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]),
      );
    } catch (error) {
      return `gcc: ${(error as Error).message.split("\n")[0]}`;
    }
    return new FailingDisk(id, library, path.join(folder, `order-${id}`));
  }

  /** The next `call` on a file whose path holds `part` fails with `errno`, that one alone. */
  async fail(call: DiskCall, errno: "EIO" | "ENOSPC", part: string): Promise<void> {
    await this.give(`${call} ${constants.errno[errno]} ${part}`);
  }

  /** Each `call` on such a file waits until `goOn`. */
  async stall(call: DiskCall, part: string): Promise<void> {
    await this.give(`${call} 0 ${part}`);
  }

  async goOn(): Promise<void> {
    await rm(this.order);
  }

  private async give(order: string): Promise<void> {
    await writeFile(`${this.order}.new`, `${order}\n`);
    await rename(`${this.order}.new`, this.order);
  }
}
