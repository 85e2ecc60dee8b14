/** How a node's state is replaced by that of a snapshot. */
import { expect, test } from "vitest";
import { kvDefaults } from "../../config/options.js";
import { silentLogger } from "../../config/logger.js";
import { AppliedState } from "../../kvserver/appliedState.js";
import { encodeOp } from "../../kvserver/opCodec.js";
import { KvStateMachine, type ApplyResult } from "../../kvserver/stateMachine.js";
import { captureState } from "../../kvserver/stateSnapshot.js";
import { WaitApplyCh } from "../../kvserver/waitApplyCh.js";
import type { ApplyMsg } from "../../raft/applyMsg.js";
import type { SnapshotReader } from "../../raft/persister/persister.js";

function put(key: string): Uint8Array {
  const nothing = { clientId: new Uint8Array(0), requestId: 0, firstUnfinished: 0, logTimeMs: 0 };
  const pair = { key: Buffer.from(key), value: Buffer.from("1") };
  return encodeOp({ operation: "Put", ...pair, ...nothing }, "compact");
}

function command(index: number, key: string): ApplyMsg {
  return {
    commandValid: true,
    snapshotValid: false,
    command: put(key),
    commandIndex: index,
    commandTerm: 1,
  };
}

/** Of a state with `keys`, as of entry 9; `onRead` is told of each read. */
function snapshot(keys: readonly string[], onRead: () => void): ApplyMsg {
  const machine = new KvStateMachine();
  keys.forEach((key, i) => machine.apply(put(key), i + 1));
  const bytes = Buffer.concat([...captureState(machine)]);
  const reader: SnapshotReader = {
    meta: { index: 9, term: 1 },
    size: bytes.length,
    read: async (offset, length) => {
      onRead();
      return bytes.subarray(offset, offset + length);
    },
    close: async () => {},
  };
  return {
    commandValid: false,
    snapshotValid: true,
    snapshotIndex: 9,
    snapshotTerm: 1,
    open: async () => reader,
  };
}

test("the old state is gone before the new one is read: memory holds no two", async () => {
  const state = new AppliedState({
    raft: { condInstallSnapshot: () => true, snapshot: async () => true },
    options: kvDefaults,
    log: silentLogger,
    waitApplyCh: new WaitApplyCh<ApplyResult>(),
    space: () => undefined,
  });
  await state.apply([command(1, "a"), command(2, "b")]);
  expect(state.machine.keyCount).toBe(2);
  const seen: number[] = [];
  const served: string[] = [];
  state.whenApplied(10, () => served.push(`${state.machine.keyCount} keys`));
  const messages = [
    snapshot(["x", "y", "z"], () => seen.push(state.machine.keyCount)),
    command(10, "last"),
  ];
  await state.apply(messages);
  expect(seen).not.toEqual([]);
  expect(new Set(seen)).toEqual(new Set([0]));
  expect(state.lastApplied).toBe(10);
  expect(served).toEqual(["4 keys"]);
});
