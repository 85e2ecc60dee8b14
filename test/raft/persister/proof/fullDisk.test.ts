/**
 * A real file system that is too small for a node's life, by every page from nothing to enough:
 * what was acknowledged before it was full is there when there is room again.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeFs } from "../../../../raft/persister/nodeFs.js";
import { StorageError } from "../../../../raft/persister/storageError.js";
import { Tmpfs } from "../../../tmpfs.js";
import { openAndCheck } from "./checkState.js";
import { Life, live } from "./workload.js";

const pageKibibytes = 4;
const enoughKibibytes = 4096;
/** More sizes than any life needs. */
const pagesMax = 200;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "small-disk-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** @returns whether the life came to its end. */
async function tryOn(disk: Tmpfs, waits: boolean): Promise<boolean> {
  const directory = join(disk.path, "data");
  const life = new Life(waits, { directory, mount: () => nodeFs });
  const error = await live(life).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  await life.close();
  if (error !== null) {
    assert.ok(error instanceof StorageError, `not by the disk: ${error as Error}`);
    assert.equal(error.code, "DISK_FULL");
    assert.ok(life.failures.length <= 1, "times that the owner was told");
    assert.equal(life.lateAcknowledgements, 0);
  }
  await disk.resize(enoughKibibytes);
  const again = await openAndCheck(nodeFs, life.promised, directory);
  await again.close();
  return error === null;
}

test.each([true, false])(
  "a disk that is full at any point, with syncs that are waited for: %s",
  async (waits) => {
    let full = 0;
    for (let pages = 1; pages < pagesMax; pages++) {
      const disk = await Tmpfs.mount(folder, pages * pageKibibytes);
      if (typeof disk === "string") {
        console.log(`not tried: ${disk}`);
        return;
      }
      try {
        if (await tryOn(disk, waits)) break;
        full++;
      } finally {
        await disk.unmount();
      }
    }
    console.log(`${full} sizes of a file system that was too small`);
    expect(full).toBeGreaterThan(5);
    expect(full).toBeLessThan(pagesMax - 1);
  },
);
