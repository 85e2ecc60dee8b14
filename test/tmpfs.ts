import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";

/** A small real file system, that a test can fill. Only root can have one. */

const execute = promisify(execFile);

export class Tmpfs {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Mounts one of `kibibytes` at `path`, whose folder must exist. Returns why not where that can't
   * be done; the test prints it and tries nothing.
   */
  static async mount(path: string, kibibytes: number): Promise<Tmpfs | string> {
    if (process.getuid?.() !== 0) return "only root can mount a file system";
    await mkdir(path, { recursive: true });
    try {
      await execute("mount", ["-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", path]);
      return new Tmpfs(path);
    } catch (error) {
      return `mount was refused: ${(error as Error).message.trim()}`;
    }
  }

  async resize(kibibytes: number): Promise<void> {
    await execute("mount", ["-o", `remount,size=${kibibytes}k`, this.path]);
  }

  /** Also while a file of it is open. */
  async unmount(): Promise<void> {
    await execute("umount", ["-l", this.path]);
  }
}
