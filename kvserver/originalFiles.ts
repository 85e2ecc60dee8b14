/**
 * The two files of an original's node, for whoever moves its data: the persisted Raft state
 * (`raftstatePersist<i>.txt`) and the snapshot (`snapshotPersist<i>.txt`), both text archives.
 */
import { ArchiveReader, ArchiveWriter } from "./boostArchive.js";
import type { KeyValue } from "./skipList.js";

/** The grammar of both is the same from this version to 18. */
export const stateArchiveVersionMin = 4;

export interface OriginalRaftState {
  readonly term: number;
  /** Or -1. */
  readonly votedFor: number;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  /** Each a serialized `LogEntry`. */
  readonly entries: readonly Uint8Array[];
}

/** @throws ArchiveError */
export function readOriginalRaftState(bytes: Uint8Array): OriginalRaftState {
  const archive = new ArchiveReader(bytes, stateArchiveVersionMin);
  archive.classInfo();
  const term = archive.int32();
  const votedFor = archive.int32();
  const snapshotIndex = archive.int32();
  const snapshotTerm = archive.int32();
  archive.classInfo();
  return { term, votedFor, snapshotIndex, snapshotTerm, entries: readStrings(archive) };
}

export function writeOriginalRaftState(
  state: OriginalRaftState,
  version = stateArchiveVersionMin,
): Uint8Array {
  const archive = new ArchiveWriter(version)
    .classInfo()
    .integer(state.term)
    .integer(state.votedFor)
    .integer(state.snapshotIndex)
    .integer(state.snapshotTerm)
    .classInfo();
  writeStrings(archive, state.entries);
  return archive.finish();
}

export interface OriginalSnapshot {
  /** In the order of the keys. */
  readonly pairs: readonly KeyValue[];
  /** Each client's last request. */
  readonly lastRequests: readonly { readonly clientId: Uint8Array; readonly requestId: number }[];
}

/** @throws ArchiveError */
export function readOriginalSnapshot(bytes: Uint8Array): OriginalSnapshot {
  const archive = new ArchiveReader(bytes, stateArchiveVersionMin);
  archive.classInfo();
  const pairs = readPairs(archive.string());
  archive.classInfo();
  const count = readCount(archive);
  // The number of buckets and the pairs' version: neither says anything.
  archive.int32();
  archive.int32();
  const lastRequests = [];
  for (let i = 0; i < count; i++) {
    if (i === 0) archive.classInfo();
    lastRequests.push({ clientId: archive.string(), requestId: archive.int32() });
  }
  return { pairs, lastRequests };
}

export interface OriginalSnapshotFormat {
  readonly version?: number;
  /** A hint for the reader's hash table. */
  readonly bucketCount?: number;
}

export function writeOriginalSnapshot(
  snapshot: OriginalSnapshot,
  { version = stateArchiveVersionMin, bucketCount = 13 }: OriginalSnapshotFormat = {},
): Uint8Array {
  const inner = new ArchiveWriter(version).classInfo().classInfo();
  writeStrings(
    inner,
    snapshot.pairs.map(({ key }) => key),
  );
  writeStrings(
    inner,
    snapshot.pairs.map(({ value }) => value),
  );
  const archive = new ArchiveWriter(version).classInfo().string(inner.finish()).classInfo();
  archive.integer(snapshot.lastRequests.length).integer(bucketCount).integer(0);
  for (const [i, { clientId, requestId }] of snapshot.lastRequests.entries()) {
    if (i === 0) archive.classInfo();
    archive.string(clientId).integer(requestId);
  }
  return archive.finish();
}

function readPairs(inner: Uint8Array): KeyValue[] {
  const archive = new ArchiveReader(inner, stateArchiveVersionMin);
  archive.classInfo();
  archive.classInfo();
  const keys = readStrings(archive);
  const values = readStrings(archive);
  return keys.flatMap((key, i) => {
    const value = values[i];
    return value === undefined ? [] : [{ key, value }];
  });
}

function readCount(archive: ArchiveReader): number {
  return archive.integer(0, 2 ** 31 - 1);
}

/** Grows with what is really there: the count alone reserves nothing. */
function readStrings(archive: ArchiveReader): Uint8Array[] {
  const count = readCount(archive);
  archive.integer(0, 0);
  const strings = [];
  for (let i = 0; i < count; i++) strings.push(archive.string());
  return strings;
}

function writeStrings(archive: ArchiveWriter, strings: readonly Uint8Array[]): void {
  archive.integer(strings.length).integer(0);
  for (const string of strings) archive.string(string);
}
