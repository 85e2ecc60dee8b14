import { expect, test } from "vitest";
import { readAhead } from "../../../raft/persister/readAhead.js";
import { deferred, type Deferred } from "../../rpc/support.js";

/** Reads that end when the test says so. */
class Disk {
  readonly begun: number[] = [];
  readonly bad = new Set<number>();
  private readonly gates: Deferred[] = [];

  readonly read = async (part: number): Promise<number> => {
    this.begun.push(part);
    await this.gate(part).promise;
    if (this.bad.has(part)) throw new Error(`bad block ${part}`);
    return part;
  };

  end(part: number): void {
    this.gate(part).resolve();
  }

  private gate(part: number): Deferred {
    return (this.gates[part] ??= deferred());
  }
}

async function collect(parts: AsyncIterable<number>): Promise<number[]> {
  const found: number[] = [];
  for await (const part of parts) found.push(part);
  return found;
}

/** Whether `promise` is settled once all that can happen by itself has. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await new Promise(setImmediate);
  return settled;
}

test("gives what was read in order, and nothing where there is nothing", async () => {
  expect(await collect(readAhead(4, async (part) => part * 10))).toEqual([0, 10, 20, 30]);
  expect(await collect(readAhead(0, async (part) => part))).toEqual([]);
});

test("reads one part ahead of the one in use, and no further", async () => {
  const disk = new Disk();
  const parts = readAhead(3, disk.read);
  const first = parts.next();
  expect(disk.begun).toEqual([0, 1]);
  disk.end(0);
  expect(await first).toEqual({ done: false, value: 0 });
  expect(disk.begun).toEqual([0, 1]);
  void parts.next();
  await new Promise(setImmediate);
  expect(disk.begun).toEqual([0, 1, 2]);
});

test("a failure is told when the read after it has ended", async () => {
  const disk = new Disk();
  disk.bad.add(0).add(1);
  const all = collect(readAhead(3, disk.read));
  disk.end(0);
  expect(await isSettled(all.catch(() => {}))).toBe(false);
  disk.end(1);
  await expect(all).rejects.toThrow("bad block 0");
});

test("who stops early waits for the read that is under way", async () => {
  const disk = new Disk();
  const parts = readAhead(3, disk.read);
  const first = parts.next();
  disk.end(0);
  await first;
  const stopped = parts.return();
  expect(await isSettled(stopped)).toBe(false);
  disk.end(1);
  expect(await stopped).toEqual({ done: true, value: undefined });
});
