/** docs/storage.md, read by a program that was written from it alone: both must find the same. */
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StorageError } from "../../../../raft/persister/storageError.js";
import { WalPersister } from "../../../../raft/persister/walPersister.js";
import { Prng } from "../../../sim/prng.js";
import { entries, entry, save, writeSnapshot } from "../support.js";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.log("skipped: the reader of the log in Python: no python3 on the PATH");

const reader = path.join(import.meta.dirname, "reader.py");
const segmentBytes = 4096;

interface Reading {
  readonly nodeId: number;
  readonly term: number;
  readonly votedFor: number;
  readonly joining: boolean;
  readonly snapshot: { index: number; term: number; bytes?: number; sha256?: string } | null;
  readonly entries: [number, number, string][];
  readonly torn: { file: string; offset: number } | null;
  readonly problem: { code: string; file: string; offset: number | null } | null;
}

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "kv-format-"));
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

function open(directory = dir): Promise<WalPersister> {
  return WalPersister.open(directory, { nodeId: 3, segmentBytes });
}

function readByPage(directory = dir): Promise<Reading> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 64 * 1024 * 1024 };
    execFile("python3", ["-B", reader, directory], options, (error, stdout) => {
      if (stdout === "") reject(error ?? new Error("it printed nothing"));
      else resolve(JSON.parse(stdout) as Reading);
    });
  });
}

/** Without the snapshot's content, which is not recovered but read later. */
function brief(reading: Reading): Reading {
  const { snapshot } = reading;
  return snapshot
    ? { ...reading, snapshot: { index: snapshot.index, term: snapshot.term } }
    : reading;
}

/** What production code finds in a copy: opening writes. */
async function recovered(): Promise<Partial<Reading>> {
  const copy = await mkdtemp(path.join(tmpdir(), "kv-format-copy-"));
  try {
    await cp(dir, copy, { recursive: true });
    const persister = await open(copy);
    const { hardState, snapshot, entries: found } = persister.recovered;
    await persister.close();
    return {
      nodeId: 3,
      term: hardState.term,
      votedFor: hardState.votedFor,
      joining: hardState.joining === true,
      snapshot,
      entries: found.map(({ index, term, command }) => [
        index,
        term,
        Buffer.from(command).toString("hex"),
      ]),
      problem: null,
    };
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

function isLeft(name: string): boolean {
  return !name.endsWith(".tmp") && !name.includes("lock.");
}

/** The directory as the persister leaves it at once, as if the process were killed. */
async function leave(persister: WalPersister): Promise<void> {
  const left = `${dir}-left`;
  await cp(dir, left, { recursive: true, filter: isLeft });
  await persister.close();
  await rm(dir, { recursive: true });
  await cp(left, dir, { recursive: true });
  await rm(left, { recursive: true });
}

/** So many that they need segments of their own. */
async function append(
  persister: WalPersister,
  from: number,
  to: number,
  term: number,
): Promise<void> {
  for (let index = from; index <= to; index += 5) {
    const batch = entries(index, Math.min(index + 4, to), term);
    const commands = batch.map((one) => ({
      ...one,
      command: Buffer.alloc(index * 2, `${index} `),
    }));
    await save(persister, { entries: commands });
  }
}

/** Elections, conflicts, several segments, a snapshot, and a log that begins later than it did. */
async function live(persister: WalPersister): Promise<Buffer> {
  await save(persister, { hardState: { term: 1, votedFor: 0 } });
  await append(persister, 1, 40, 1);
  await save(persister, { hardState: { term: 2, votedFor: -1, joining: true } });
  await save(persister, { entries: [entry(30, 2, Buffer.alloc(5_000, 1)), entry(31, 2, "")] });
  await append(persister, 32, 90, 2);
  await save(persister, { hardState: { term: 2, votedFor: 2 } });
  const state = Buffer.alloc(150_000, "some state ");
  await writeSnapshot(persister, { index: 60, term: 2 }, state);
  await persister.compact({ index: 60, term: 2 }, 50);
  await save(persister, { hardState: { term: 5, votedFor: 1 }, entries: entries(91, 120, 5) });
  return state;
}

async function segments(): Promise<string[]> {
  return (await readdir(dir)).filter((name) => name.endsWith(".log")).toSorted();
}

/** Behind its header and mark. */
function hasRecords(name: string): boolean {
  return readFileSync(path.join(dir, name))
    .subarray(128)
    .some((byte) => byte !== 0);
}

async function damage(name: string, change: (bytes: Buffer) => void): Promise<void> {
  const file = path.join(dir, name);
  const bytes = await readFile(file);
  change(bytes);
  await writeFile(file, bytes);
}

/** What `reading` must tell of this refusal: its file and offset where the message names them. */
function placeOf({ code, message }: StorageError, { problem }: Reading): Reading["problem"] {
  const { file = "no file", offset = null } = problem ?? {};
  const isNamed = message.includes(file) && (!offset || message.includes(`${offset}`));
  return { code, file: isNamed ? file : message, offset };
}

describe.runIf(hasPython)("a reader that was written from the page", () => {
  it("finds what production code finds", async () => {
    const persister = await open();
    expect(await readByPage()).toMatchObject({ term: 0, votedFor: -1, entries: [] });
    const state = await live(persister);
    await persister.close();
    const reading = await readByPage();
    expect(brief(reading)).toEqual(expect.objectContaining(await recovered()));
    expect(reading).toMatchObject({ term: 5, votedFor: 1, joining: false, torn: null });
    expect(reading.snapshot).toEqual({
      index: 60,
      term: 2,
      bytes: state.length,
      sha256: createHash("sha256").update(state).digest("hex"),
    });
    expect(reading.entries.at(-1)!.slice(0, 2)).toEqual([120, 5]);
    expect(await segments()).not.toContain("wal-0000000000000001.log");
  });

  it("also in a log that was reset for a received snapshot", async () => {
    const persister = await open();
    await live(persister);
    await writeSnapshot(persister, { index: 500, term: 7 }, Buffer.from("far ahead"), "received");
    await persister.resetLog({ index: 500, term: 7 });
    await save(persister, { entries: entries(501, 503, 7) });
    await persister.close();
    const reading = await readByPage();
    expect(brief(reading)).toEqual(expect.objectContaining(await recovered()));
    expect(reading.entries.map(([index]) => index)).toEqual([501, 502, 503]);
  });

  it("and cuts a torn end off where production code does", async () => {
    const persister = await open();
    await live(persister);
    await leave(persister);
    const whole = await readByPage();
    const name = (await segments()).findLast((file) => hasRecords(file))!;
    let end = 0;
    await damage(name, (bytes) => {
      end = (bytes.findLastIndex((byte) => byte !== 0) + 8) & ~7;
      bytes.write("a piece of a batch", end + 16);
    });
    const reading = await readByPage();
    expect(reading).toEqual({ ...whole, torn: { file: name, offset: end } });
    expect(brief(reading)).toEqual(expect.objectContaining(await recovered()));
  });

  it("and leaves out the batch that lost a piece of itself", async () => {
    const persister = await open();
    await live(persister);
    await leave(persister);
    const name = (await segments()).findLast((file) => hasRecords(file))!;
    await damage(name, (bytes) => {
      // As if the mark had not been written since, which it is not with every batch.
      bytes.fill(0, 64, 128);
      bytes[bytes.findLastIndex((byte) => byte !== 0)]! ^= 0x40;
    });
    const reading = await readByPage();
    expect(reading.torn?.file).toBe(name);
    expect(reading.entries.at(-1)![0]).toBe(90);
    expect(brief(reading)).toEqual(expect.objectContaining(await recovered()));
  });

  it("and refuses, at the same place, what production code refuses", async () => {
    const persister = await open();
    await live(persister);
    await persister.close();
    const files = (await readdir(dir)).toSorted();
    const prng = new Prng(20261124);
    const whole = `${dir}-whole`;
    await cp(dir, whole, { recursive: true });
    let refusals = 0;
    for (let round = 0; round < 16; round++) {
      const name = files[prng.int(0, files.length - 1)]!;
      await damage(name, (bytes) => {
        const used = bytes.findLastIndex((byte) => byte !== 0);
        bytes[prng.int(0, used)]! ^= 1 << prng.int(0, 7);
      });
      const reading = await readByPage();
      const outcome = await recovered().catch((thrown: unknown) => thrown);
      const refused = outcome instanceof StorageError;
      const same = refused ? { problem: placeOf(outcome, reading) } : (outcome as object);
      expect(brief(reading)).toEqual(expect.objectContaining(same));
      if (refused) refusals++;
      await cp(path.join(whole, name), path.join(dir, name));
    }
    await rm(whole, { recursive: true });
    expect(refusals).toBeGreaterThan(5);
  });
});
