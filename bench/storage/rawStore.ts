import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import type { Store } from "./store.js";

const zeros = new Uint8Array(1024 * 1024);
const fileBytes = 64 * zeros.length;

/** The limit: one write and one fdatasync into zeros, with nothing around the entries. */
export class RawStore implements Store {
  readonly name = "write + fdatasync";
  private fd = -1;
  private at = 0;

  async open(directory: string): Promise<void> {
    this.fd = openSync(path.join(directory, "raw"), "w+");
    for (let at = 0; at < fileBytes; at += zeros.length)
      writeSync(this.fd, zeros, 0, zeros.length, at);
    fdatasyncSync(this.fd);
  }

  write(entries: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(entries);
    if (this.at + bytes.length > fileBytes) this.at = 0;
    writeSync(this.fd, bytes, 0, bytes.length, this.at);
    fdatasyncSync(this.fd);
    this.at += bytes.length;
  }

  close(): void {
    closeSync(this.fd);
  }
}
