/** `list`, `dump` and `verify`: they tell what is there, and leave it as it is. */
import fc from "fast-check";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { escapeBytes } from "../../../kvserver/data/escape.js";
import { lockDirectory } from "../../../raft/persister/dirLock.js";
import { nodeFs } from "../../../raft/persister/nodeFs.js";
import { errnoOf } from "../../../raft/persister/storageError.js";
import { WalPersister } from "../../../raft/persister/walPersister.js";
import { MemoryDisk } from "../../raft/persister/memoryDisk.js";
import { directory, flip, recordsOf, segmentPath } from "../../raft/persister/support.js";
import { fieldsOf, linesOf, run, Store, unescape } from "./support.js";

/** Entries 1 (no-op) to 5, a snapshot at 3, closed in order. */
async function someStore(): Promise<Store> {
  const store = await Store.create();
  await store.put("a", "1");
  await store.put("b", "2");
  await store.snapshot();
  await store.put("c", "3");
  await store.put("a", "4");
  return store;
}

async function closedStore(): Promise<MemoryDisk> {
  const store = await someStore();
  await store.close();
  return store.disk;
}

const snapshotFile = `${directory}/snapshot-3-3`;

/** Flips a bit of a file. */
function damage(disk: MemoryDisk, file: string, at: number): void {
  const contents = disk.contents(file);
  flip(contents, at);
  disk.replace(file, contents);
}

describe("list", () => {
  test("tells what a directory holds", async () => {
    const { code, out } = await run(await closedStore(), ["list", directory]);
    expect(code).toBe(0);
    expect(out).toMatch(/^node +1$/m);
    expect(out).toMatch(/^storage id +[0-9a-f]{32}$/m);
    expect(out).toMatch(/^term +3, voted for node 2$/m);
    expect(out).toMatch(/^log +entries 1 \(term 3\) to 5 \(term 3\)$/m);
    expect(out).toMatch(/^segment +wal-0+1\.log {2}\d+ of 4096 bytes used, entries 1 to 5, open/m);
    expect(out).toMatch(
      /^snapshot +snapshot-3-3 {2}up to entry 3 \(term 3\), \d+ bytes of state$/m,
    );
    expect(out).not.toMatch(/torn|damage/);
  });

  test("tells it to machines", async () => {
    const { code, out } = await run(await closedStore(), ["list", directory, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      identity: { nodeId: 1, initialised: true },
      logs: [{ term: 3, votedFor: 2, joining: false, first: { index: 1 }, last: { index: 5 } }],
      segments: [{ sequence: 1, firstIndex: 1, lastIndex: 5, sealed: false, fileBytes: 4096 }],
      snapshots: [{ index: 3, term: 3, isWhole: true }],
      torn: null,
      damages: [],
      startable: true,
    });
  });

  test("knows a node that joins, and a directory in which nothing was begun", async () => {
    const disk = new MemoryDisk();
    const options = { nodeId: 0, segmentBytes: 4096, fs: disk.mount(), newNodeVotes: false };
    await (await WalPersister.open(directory, options)).close();
    const { out } = await run(disk, ["list", directory]);
    expect(out).toMatch(/^flags +joining/m);
    expect(out).toMatch(/^log +empty, goes on after 0/m);
  });

  test("tells of a torn tail, and of damage", async () => {
    const { disk } = await someStore();
    disk.kill();
    const last = recordsOf(disk, 1).at(-1)!;
    damage(disk, segmentPath(1), last.payloadStart);
    const torn = await run(disk, ["list", directory]);
    expect(torn.code).toBe(0);
    expect(torn.out).toMatch(/^log +entries 1 \(term 3\) to 4/m);
    expect(torn.out).toContain(`wal-0000000000000001.log at byte ${last.offset}, `);
    const second = recordsOf(disk, 1)[1]!;
    damage(disk, segmentPath(1), second.payloadStart);
    const damaged = await run(disk, ["list", directory]);
    expect(damaged.code).toBe(65);
    expect(damaged.out).toContain(`${segmentPath(1)} at byte ${second.offset}: `);
    expect(damaged.out).toContain("--rebuild");
    expect(damaged.out).not.toMatch(/^torn/m);
  });
});

describe("dump", () => {
  test("shows each entry in a line", async () => {
    const { code, out } = await run(await closedStore(), ["dump", directory]);
    expect(code).toBe(0);
    const lines = linesOf(out);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toBe("index=1 term=3 kind=noop");
    expect(lines[1]).toBe(
      "index=2 term=3 kind=boost op=Put client=client request=1 unfinished=0 time=0 key=a value=1",
    );
    expect(lines[2]).toContain("kind=compact op=Put");
  });

  test("of a range, with lengths in place of values", async () => {
    const disk = await closedStore();
    const { out } = await run(disk, ["dump", directory, "--from", "3", "--to", "4", "--keys"]);
    expect(linesOf(out).map((line) => fieldsOf(line).get("index"))).toEqual(["3", "4"]);
    expect(out).toContain("key=b valueBytes=1");
    expect(out).not.toContain("value=");
  });

  test("shows the snapshot's state", async () => {
    const { code, out } = await run(await closedStore(), ["dump", directory, "--state"]);
    expect({ code, out }).toEqual({ code: 0, out: "key=a value=1\nkey=b value=2\n" });
  });

  test("shows keys and values that read back as they were", async () => {
    const anyBytes = fc.uint8Array({ maxLength: 20 });
    const pairs = fc.array(fc.tuple(anyBytes, anyBytes), { minLength: 1, maxLength: 8 });
    const property = fc.asyncProperty(pairs, async (all) => {
      const store = await Store.create();
      for (const [key, value] of all) await store.putBytes(key, value);
      await store.close();
      const { out } = await run(store.disk, ["dump", directory, "--from", "2"]);
      const shown = linesOf(out).map((line) => {
        const fields = fieldsOf(line);
        return [unescape(fields.get("key")!), unescape(fields.get("value")!)];
      });
      expect(shown.map((pair) => pair.map((part) => Buffer.from(part).toString("hex")))).toEqual(
        all.map((pair) => pair.map((part) => Buffer.from(part).toString("hex"))),
      );
    });
    await fc.assert(property, { numRuns: 40 });
  });

  test("escapes all but printable ASCII", () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    expect(escapeBytes(all)).toMatch(/^[\x21-\x7e]+$/);
    expect(unescape(escapeBytes(all))).toEqual(Buffer.from(all));
    expect(escapeBytes(Buffer.from("a b\\xZ\0"))).toBe("a\\x20b\\x5cxZ\\x00");
  });

  test("shows a command that is none", async () => {
    const store = await Store.create();
    await store.command(Uint8Array.of(0xff, 1));
    await store.close();
    const { out } = await run(store.disk, ["dump", directory, "--from", "2"]);
    expect(out).toBe("index=2 term=3 kind=unreadable value=\\xff\\x01\n");
  });

  test("shows what lies before damage and in later segments, and then what is damaged", async () => {
    const store = await Store.create();
    for (let i = 0; i < 6; i++) await store.put(`key${i}`, "v".repeat(1000));
    await store.close();
    const damaged = recordsOf(store.disk, 1)[3]!;
    damage(store.disk, segmentPath(1), damaged.payloadStart);
    const { code, out, err } = await run(store.disk, ["dump", directory, "--keys"]);
    expect(code).toBe(65);
    const indexes = linesOf(out).map((line) => Number(fieldsOf(line).get("index")));
    expect(indexes[0]).toBe(1);
    expect(indexes.at(-1)).toBe(7);
    expect(indexes.length).toBeLessThan(7);
    expect(err).toContain(`${segmentPath(1)} at byte ${damaged.offset}`);
  });

  test("of a state that is not there says so", async () => {
    const store = await Store.create();
    await store.close();
    const { code, err } = await run(store.disk, ["dump", directory, "--state"]);
    expect(code).toBe(1);
    expect(err).toContain("no whole snapshot");
  });
});

describe("verify", () => {
  test("says good of what is", async () => {
    const { code, out, err } = await run(await closedStore(), ["verify", directory]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(`good    ${directory}: 5 entries, a snapshot of 2 keys\n`);
  });

  test("names every damage, with its place and what to do", async () => {
    const disk = await closedStore();
    const second = recordsOf(disk, 1)[1]!;
    damage(disk, segmentPath(1), second.payloadStart);
    damage(disk, snapshotFile, 64);
    damage(disk, `${directory}/identity`, 20);
    const { code, out } = await run(disk, ["verify", directory]);
    expect(code).toBe(65);
    expect(out).toContain(`${directory}/identity at byte 0: `);
    expect(out).toContain(`${segmentPath(1)} at byte ${second.offset}: `);
    expect(out).toContain(`${snapshotFile} at byte 64: `);
    expect(out.match(/--rebuild/g)).toHaveLength(3);
    const json = await run(disk, ["verify", directory, "--json"]);
    const report = JSON.parse(json.out) as { good: boolean; damages: unknown[] };
    expect(report.good).toBe(false);
    expect(report.damages).toHaveLength(3);
    expect(report.damages[1]).toMatchObject({ code: "DAMAGED", offset: second.offset });
  });

  test("knows a damaged snapshot that the node does without", async () => {
    const disk = await closedStore();
    damage(disk, snapshotFile, 64);
    const { code, out } = await run(disk, ["verify", directory]);
    expect(code).toBe(65);
    expect(out).toContain("the node does without it");
    const store = await Store.create();
    for (let i = 0; i < 9; i++) await store.put(`key${i}`, "v".repeat(1000));
    await store.snapshot();
    await store.compact(10);
    await store.close();
    damage(store.disk, `${directory}/snapshot-3-10`, 64);
    expect((await run(store.disk, ["verify", directory])).out).toContain("--rebuild");
  });

  test("notices a segment that is gone, or of another directory", async () => {
    const store = await Store.create();
    for (let i = 0; i < 12; i++) await store.put(`key${i}`, "v".repeat(1000));
    await store.close();
    const disk = store.disk;
    const third = disk.contents(segmentPath(3));
    disk.remove(segmentPath(2));
    const gone = await run(disk, ["verify", directory]);
    expect(gone.code).toBe(65);
    expect(gone.out).toContain(`${segmentPath(2)}: segment 2 of the log is not there`);
    disk.replace(segmentPath(2), third);
    const renamed = await run(disk, ["verify", directory]);
    expect(renamed.out).toContain(`${segmentPath(2)} at byte 32: `);
    expect(renamed.out).toContain("put each back");
  });

  test("notices a snapshot that is whole and no state", async () => {
    const store = await Store.create();
    const snapshot = { index: 1, term: 3 };
    await store.close();
    const options = { nodeId: 1, segmentBytes: 4096, fs: store.disk.mount() };
    const persister = await WalPersister.open(directory, options);
    const writer = await persister.createSnapshot(snapshot, "local");
    await writer.write(new Uint8Array(100));
    await writer.commit();
    await persister.close();
    const { code, out } = await run(store.disk, ["verify", directory]);
    expect(code).toBe(65);
    expect(out).toContain(`${directory}/snapshot-3-1 at byte 64: `);
  });
});

async function onRealDisk(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), "kv-data-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const { disk } = await someStore();
  disk.kill();
  const torn = disk.contents(segmentPath(1));
  flip(torn, recordsOf(disk, 1).at(-1)!.payloadStart);
  disk.replace(segmentPath(1), torn);
  for (const file of disk.paths()) {
    if (!path.basename(file).startsWith("lock.")) {
      await writeFile(path.join(dir, path.basename(file)), disk.contents(file));
    }
  }
  await writeFile(path.join(dir, "wal-0000000000000002.log.tmp"), "half made");
  return dir;
}

async function picture(dir: string): Promise<unknown> {
  const names = (await readdir(dir)).sort((a, b) => (a < b ? -1 : 1));
  return Promise.all(
    names.map(async (name) => {
      const file = path.join(dir, name);
      const { mtimeNs, ctimeNs } = await stat(file, { bigint: true });
      return { name, mtimeNs, ctimeNs, contents: (await readFile(file)).toString("hex") };
    }),
  );
}

describe("the directory", () => {
  test("is left as it is, torn tail and all", async () => {
    const dir = await onRealDisk();
    const before = await picture(dir);
    for (const argv of [
      ["list", dir],
      ["dump", dir],
      ["dump", dir, "--state"],
      ["verify", dir],
      ["export", dir, `${dir}.backup`, "--through-log"],
    ]) {
      expect(await run(null, argv, { fs: nodeFs })).toMatchObject({ code: 0 });
      expect(await picture(dir)).toEqual(before);
    }
    await rm(`${dir}.backup`);
  });

  test("of a node that runs is not read, and the process is named", async () => {
    const dir = await onRealDisk();
    const unlock = await lockDirectory(dir);
    const { code, err } = await run(null, ["verify", dir], { fs: nodeFs });
    await unlock();
    expect(code).toBe(77);
    expect(err).toContain(`process ${process.pid} has ${dir} open; stop the node first`);
    expect(await run(null, ["verify", dir], { fs: nodeFs })).toMatchObject({ code: 0 });
  });

  test("that is none is named, and not locked", async () => {
    const dir = await mkdtemp(path.join(tmpdir(), "kv-data-"));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    await nodeFs.makeDirectory(path.join(dir, "node0"));
    const outcome = await run(null, ["list", dir], { fs: nodeFs });
    expect(outcome.code).toBe(77);
    expect(outcome.err).toContain("did you mean node0 in it?");
    expect(await readdir(dir)).toEqual(["node0"]);
    const missing = await run(null, ["list", path.join(dir, "nope")], { fs: nodeFs });
    expect(missing).toMatchObject({ code: 77 });
    expect(missing.err).toContain("there is no such directory");
    await expect(stat(path.join(dir, "nope"))).rejects.toSatisfy((e) => errnoOf(e) === "ENOENT");
  });

  test("that can't be read for a disk that fails is reported with the file", async () => {
    const disk = await closedStore();
    disk.fault = (operation, file) =>
      operation === "read" && file === segmentPath(1) ? "EIO" : null;
    const { code, out } = await run(disk, ["verify", directory]);
    expect(code).toBe(65);
    expect(out).toContain(segmentPath(1));
    expect(out).toContain("copy what can be read");
  });
});
