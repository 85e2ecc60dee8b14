/** `export` and `import`: what comes back is what was there, or nothing comes back. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { mkdtemp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackupReader } from "../../../kvserver/data/backupReader.js";
import { BackupError } from "../../../kvserver/data/backupFormat.js";
import { BackupWriter } from "../../../kvserver/data/backupWriter.js";
import { beginningOf } from "../../../kvserver/data/beginning.js";
import type { DataWorld } from "../../../kvserver/data/world.js";
import { restoreState } from "../../../kvserver/stateRestore.js";
import { crc32c } from "../../../raft/persister/crc32c.js";
import { nodeFs } from "../../../raft/persister/nodeFs.js";
import { WalPersister } from "../../../raft/persister/walPersister.js";
import { MemoryDisk } from "../../raft/persister/memoryDisk.js";
import { directory, flip, readSnapshot } from "../../raft/persister/support.js";
import { bytes, type Outcome, run, Store } from "./support.js";

const file = "/backups/b";
const hex = (part: Uint8Array): string => Buffer.from(part).toString("hex");

/** Entry 1 a no-op, a=1 and b=2 in a snapshot at 3, then c=3 and a=4. */
async function someStore(): Promise<Store> {
  const store = await Store.create();
  await store.put("a", "1");
  await store.put("b", "2");
  await store.snapshot();
  await store.put("c", "3");
  await store.put("a", "4");
  await store.close();
  return store;
}

/** Reads a backup as docs/backup.md says, with nothing of the tool's own. */
function readByTheBook(backup: Uint8Array): { index: bigint; flags: number; pairs: string[] } {
  const view = Buffer.from(backup);
  expect(view.subarray(0, 8).toString()).toBe("KVBACKUP");
  expect(view.readUInt32LE(8)).toBe(1);
  let crc = view.readUInt32LE(60);
  expect(crc).toBe(crc32c(view, 0, 60));
  const payloads = [];
  let at = 64;
  for (let length = view.readUInt32LE(at); length !== 0; length = view.readUInt32LE(at)) {
    const end = at + 8 + length;
    crc = crc32c(view, at + 8, end, crc32c(view, at, at + 4, crc));
    expect(view.readUInt32LE(at + 4)).toBe(crc);
    payloads.push(view.subarray(at + 8, end));
    at = end;
  }
  crc = crc32c(view, at + 8, at + 64, crc32c(view, at, at + 4, crc));
  expect(view.readUInt32LE(at + 4)).toBe(crc);
  expect(view.subarray(at + 8, at + 16).toString()).toBe("KVBKEND\0");
  const digest = createHash("sha256").update(view.subarray(0, at)).digest();
  expect(hex(view.subarray(at + 32, at + 64))).toBe(hex(digest));
  expect(view.length).toBe(at + 64);
  const payload = Buffer.concat(payloads);
  expect(view.readBigUInt64LE(at + 24)).toBe(BigInt(payload.length));
  const pairs = [];
  for (let p = 0; p < payload.length;) {
    const key = payload.subarray(p + 8, p + 8 + payload.readUInt32LE(p));
    const valueAt = p + 8 + key.length;
    const value = payload.subarray(valueAt, valueAt + payload.readUInt32LE(p + 4));
    pairs.push(`${hex(key)}=${hex(value)}`);
    p = valueAt + value.length;
  }
  expect(view.readBigUInt64LE(at + 16)).toBe(BigInt(pairs.length));
  return { index: view.readBigUInt64LE(32), flags: view.readUInt32LE(48), pairs };
}

const pairOf = (key: string, value: string): string => `${hex(bytes(key))}=${hex(bytes(value))}`;

describe("export", () => {
  test("takes what was committed, and tells what it leaves", async () => {
    const { disk } = await someStore();
    const { code, out, err } = await run(disk, ["export", directory, file]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^\/backups\/b: 2 keys, .* as of entry 3 \(term 3\), sha256 [0-9a-f]{64}\n/,
    );
    expect(err).toContain("entries 4 to 5 of the log are not in it");
    const backup = readByTheBook(disk.contents(file));
    expect(backup).toEqual({ index: 3n, flags: 0, pairs: [pairOf("a", "1"), pairOf("b", "2")] });
  });

  test("takes the log along when it is asked to, and marks that", async () => {
    const { disk } = await someStore();
    const { code, out, err } = await run(disk, ["export", directory, file, "--through-log"]);
    expect(code).toBe(0);
    expect(out).toContain("3 keys");
    expect(err).toContain("may never have been committed");
    const pairs = [pairOf("a", "4"), pairOf("b", "2"), pairOf("c", "3")];
    expect(readByTheBook(disk.contents(file))).toEqual({ index: 5n, flags: 1, pairs });
  });

  test("without a snapshot points at the log", async () => {
    const store = await Store.create();
    await store.put("a", "1");
    await store.close();
    const { code, err } = await run(store.disk, ["export", directory, file]);
    expect(code).toBe(1);
    expect(err).toContain("--through-log");
    await run(store.disk, ["export", directory, file, "--through-log"]);
    expect(readByTheBook(store.disk.contents(file)).pairs).toEqual([pairOf("a", "1")]);
  });

  test("replaces a file only when it is forced to", async () => {
    const { disk } = await someStore();
    disk.replace(file, bytes("precious"));
    const refused = await run(disk, ["export", directory, file]);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toContain(`${file} is there already`);
    expect(disk.contents(file)).toEqual(new Uint8Array(bytes("precious")));
    expect(await run(disk, ["export", directory, file, "--force"])).toMatchObject({ code: 0 });
    expect(readByTheBook(disk.contents(file)).pairs).toHaveLength(2);
  });

  test("of a damaged log takes the snapshot, and refuses --through-log", async () => {
    const { disk } = await someStore();
    const segment = `${directory}/wal-0000000000000001.log`;
    const contents = disk.contents(segment);
    flip(contents, 300);
    disk.replace(segment, contents);
    const snapshot = await run(disk, ["export", directory, file]);
    expect(snapshot.code).toBe(0);
    expect(snapshot.err).toContain(`without what is damaged: `);
    expect(readByTheBook(disk.contents(file)).pairs).toHaveLength(2);
    const log = await run(disk, ["export", directory, `${file}2`, "--through-log"]);
    expect(log.code).toBe(65);
    expect(log.err).toContain(segment);
    expect(disk.paths()).not.toContain(`${file}2`);
  });

  test.each(["ENOSPC", "EIO"])("leaves nothing behind after %s", async (errno) => {
    const { disk } = await someStore();
    const before = disk.paths();
    disk.fault = (operation, at) =>
      operation === "write" && at.startsWith("/backups/") ? errno : null;
    const { code } = await run(disk, ["export", directory, file]);
    expect(code).toBe(errno === "ENOSPC" ? 73 : 74);
    expect(disk.paths()).toEqual(before);
  });

  test("is interrupted at any point without leaving a file", async () => {
    const { disk } = await someStore();
    const before = disk.paths();
    let wasWhole = false;
    for (let looks = 1; !wasWhole; looks++) {
      const outcome = await run(disk, ["export", directory, file], interruptedAt(looks));
      wasWhole = outcome.code === 0;
      if (wasWhole) break;
      expect(outcome).toMatchObject({ code: 130, out: "", err: "mprpc-data: interrupted\n" });
      expect(disk.paths()).toEqual(before);
    }
    expect(disk.paths()).toContain(file);
  });
});

/** Ctrl-C is found to have been pressed at the nth look. */
function interruptedAt(nth: number): Partial<DataWorld> {
  let looks = 0;
  const signal = new AbortController().signal;
  Object.defineProperty(signal, "aborted", { get: () => ++looks >= nth });
  return { signal };
}

async function backupOf(
  pairs: readonly (readonly [Uint8Array, Uint8Array])[],
): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const header = { meta: { index: 7, term: 2 }, storageId: new Uint8Array(16), throughLog: false };
  const writer = await BackupWriter.create(disk.mount(), file, header);
  for (const [key, value] of pairs) {
    writer.pair(key, value);
    await writer.flush();
  }
  await writer.finish();
  await writer.close();
  return disk;
}

async function readAll(disk: MemoryDisk): Promise<Uint8Array> {
  const reader = await BackupReader.open(disk.mount(), file);
  const payloads = [];
  for await (const payload of reader.payloads()) payloads.push(payload);
  return Buffer.concat(payloads);
}

describe("a backup", () => {
  test("is refused with any bit flipped, and cut short anywhere", async () => {
    const disk = await backupOf([
      [bytes("a"), bytes("1")],
      [bytes("b"), bytes("22")],
    ]);
    const whole = disk.contents(file);
    expect(hex(await readAll(disk))).toHaveLength(2 * (8 + 2 + 8 + 3));
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const changed = whole.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      disk.replace(file, changed);
      const error = await readAll(disk).catch((caught: unknown) => caught);
      expect(error, `bit ${bit}`).toBeInstanceOf(BackupError);
      expect(error).toMatchObject({ file });
    }
    for (let length = 0; length < whole.length; length++) {
      disk.replace(file, whole.subarray(0, length));
      await expect(readAll(disk), `${length} bytes`).rejects.toBeInstanceOf(BackupError);
    }
  });

  test("holds values larger than its blocks", async () => {
    const value = new Uint8Array(700_000).map((_, i) => i);
    const disk = await backupOf([
      [bytes("a"), value],
      [bytes("b"), value],
    ]);
    const { pairs } = readByTheBook(disk.contents(file));
    expect(pairs).toEqual([pairOf("a", Buffer.from(value).toString("latin1")), expect.anything()]);
  });
});

describe("import", () => {
  let dir: string;
  let nodes: string;

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "kv-import-"));
    nodes = path.join(dir, "nodes.conf");
    const list = [0, 1, 2].map((id) => `node${id}ip=127.0.0.1\nnode${id}port=${7001 + id}\n`);
    await writeFile(nodes, `${list.join("")}segmentBytes=65536\n`);
  });

  afterEach(() => rm(dir, { recursive: true, force: true }));

  async function importBackup(
    disk: MemoryDisk,
    more: readonly string[] = [],
    world: Partial<DataWorld> = {},
  ): Promise<Outcome> {
    const backup = path.join(dir, "b");
    await writeFile(backup, disk.contents(file));
    const argv = ["import", backup, "-f", nodes, "--data-dir", path.join(dir, "data"), ...more];
    return run(null, argv, { fs: nodeFs, ...world });
  }

  const made = async (): Promise<string[]> =>
    (await readdir(path.join(dir, "data")).catch(() => [])).sort((a, b) => (a < b ? -1 : 1));

  async function openNode(id: number): Promise<WalPersister> {
    const options = { nodeId: id, segmentBytes: 65536, newNodeVotes: false };
    return WalPersister.open(path.join(dir, "data", `node${id}`), options);
  }

  test("makes a directory for each node, with the same beginning", async () => {
    const disk = await backupOf([[bytes("a"), bytes("1")]]);
    const { code, out } = await importBackup(disk);
    expect(code).toBe(0);
    expect(out.match(/begins after entry 1000000000000 of term \d+/g)).toHaveLength(3);
    expect(await made()).toEqual(["node0", "node1", "node2"]);
    const found = [];
    for (const id of [0, 1, 2]) {
      const persister = await openNode(id);
      const state = await readSnapshot(persister);
      found.push({ ...persister.recovered, state: hex(state!) });
      await persister.close();
    }
    expect(found[1]).toEqual(found[0]);
    expect(found[2]).toEqual(found[0]);
    const { snapshot, entries, hardState } = found[0]!;
    expect(entries).toEqual([]);
    expect(hardState).toEqual({ term: snapshot!.term, votedFor: -1 });
    const verified = await run(null, ["verify", path.join(dir, "data", "node1")], { fs: nodeFs });
    expect(verified.out).toContain("0 entries, a snapshot of 1 keys");
  });

  test("of a single node makes that one", async () => {
    const disk = await backupOf([]);
    expect(await importBackup(disk, ["-i", "1"])).toMatchObject({ code: 0 });
    expect(await made()).toEqual(["node1"]);
    const { code, err } = await importBackup(disk, ["-i", "3"]);
    expect(code).toBe(1);
    expect(err).toContain("there is no node 3: it lists 0 to 2");
  });

  test("brings back any keys and values", async () => {
    const anyBytes = fc.uint8Array({ maxLength: 12 });
    const anyPairs = fc.uniqueArray(fc.tuple(anyBytes, anyBytes), {
      selector: ([key]) => hex(key),
      maxLength: 20,
    });
    const property = fc.asyncProperty(anyPairs, async (pairs) => {
      await rm(path.join(dir, "data"), { recursive: true, force: true });
      const store = await Store.create();
      for (const [key, value] of pairs) await store.putBytes(key, value);
      await store.close();
      await run(store.disk, ["export", directory, file, "--through-log"]);
      expect(await importBackup(store.disk, ["-i", "0"])).toMatchObject({ code: 0 });
      const persister = await openNode(0);
      const machine = await restoreState([(await readSnapshot(persister))!]);
      await persister.close();
      expect(machine.keyCount).toBe(pairs.length);
      expect(machine.sessionCount).toBe(0);
      for (const [key, value] of pairs) expect(hex(machine.get(key)!)).toBe(hex(value));
    });
    await fc.assert(property, { numRuns: 15 });
  });

  test("never touches a directory that holds anything", async () => {
    const disk = await backupOf([]);
    await mkdir(path.join(dir, "data", "node1"), { recursive: true });
    await writeFile(path.join(dir, "data", "node1", "precious"), "");
    const { code, err } = await importBackup(disk);
    expect(code).toBe(1);
    expect(err).toContain("node1 is not empty");
    expect(await made()).toEqual(["node1"]);
    await rm(path.join(dir, "data", "node1", "precious"));
    expect(await importBackup(disk)).toMatchObject({ code: 0 });
  });

  test("refuses a damaged backup, and leaves nothing of it", async () => {
    const pairs = Array.from({ length: 40 }, (_, i) => [
      bytes(`key${String(i).padStart(2, "0")}`),
      new Uint8Array(30_000).fill(i),
    ]);
    const disk = await backupOf(pairs as [Uint8Array, Uint8Array][]);
    const whole = disk.contents(file);
    for (const at of [3, 20, 100, 600_000, whole.length - 70, whole.length - 1]) {
      const changed = whole.slice();
      flip(changed, at);
      disk.replace(file, changed);
      const { code, err } = await importBackup(disk);
      expect(code).toBe(65);
      expect(err).toMatch(/another copy of the backup|is no backup/);
      expect(err).toMatch(/\/b at byte \d+\)/);
      expect(await made()).toEqual([]);
    }
  });

  test("refuses keys that are out of order, twice the same among them", async () => {
    const one = [bytes("k"), bytes("1")] as const;
    const { code, err } = await importBackup(await backupOf([one, one]));
    expect(code).toBe(65);
    expect(err).toContain("does not come after the one before it");
  });

  test("is interrupted at any point without leaving a directory", async () => {
    const disk = await backupOf([[bytes("a"), bytes("1")]]);
    for (let looks = 1; ; looks++) {
      const outcome = await importBackup(disk, [], interruptedAt(looks));
      if (outcome.code === 0) break;
      expect(outcome).toMatchObject({ code: 130, out: "" });
      expect(await made()).toEqual([]);
    }
    expect(await made()).toHaveLength(3);
  });

  test("warns of nodes that can load no snapshot", async () => {
    const outcome = await importBackup(await backupOf([]), [], {
      env: { KV_COMMAND_CODEC: "boost" },
    });
    expect(outcome.err).toContain("nodes of the original can load no snapshot");
  });

  test("a file that is not there is named", async () => {
    const argv = ["import", path.join(dir, "nope"), "-f", nodes, "--data-dir", dir];
    const { code, err } = await run(null, argv, { fs: nodeFs });
    expect(code).not.toBe(0);
    expect(err).toContain("nope");
  });
});

test("an imported log begins behind the old one, at a place of the file's own", () => {
  const anyMeta = fc.record({ index: fc.nat(2 ** 31), term: fc.nat(2 ** 20) });
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const property = fc.property(anyMeta, digest, digest, (meta, one, other) => {
    const beginning = beginningOf(meta, one);
    expect(beginning.index).toBeGreaterThan(meta.index);
    expect(beginning.term).toBeGreaterThan(meta.term + 1_000_000);
    expect(Number.isSafeInteger(beginning.index + beginning.term)).toBe(true);
    // A backup of the imported cluster is behind that in turn.
    expect(beginningOf(beginning, one).index).toBeGreaterThan(beginning.index);
    const sameStart = Buffer.compare(one.subarray(0, 3), other.subarray(0, 3)) === 0;
    expect(beginningOf(meta, other).term === beginning.term).toBe(sameStart);
  });
  fc.assert(property);
});
