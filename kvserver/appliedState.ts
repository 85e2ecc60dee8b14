import type { KvOptions } from "../config/options.js";
import type { Logger } from "../config/logger.js";
import type { ApplyMsg, CommandMsg, SnapshotMsg } from "../raft/applyMsg.js";
import { entryOverheadBytes } from "../raft/core/index.js";
import { snapshotFits, type DiskSpace } from "../raft/persister/diskReserve.js";
import type { SnapshotReader } from "../raft/persister/persister.js";
import { readAhead } from "../raft/persister/readAhead.js";
import type { Raft } from "../raft/raft.js";
import { snapshotIsDue } from "./snapshotPolicy.js";
import { KvStateMachine, type ApplyResult } from "./stateMachine.js";
import { restoreState } from "./stateRestore.js";
import { captureState } from "./stateSnapshot.js";
import type { WaitApplyCh } from "./waitApplyCh.js";

export interface AppliedStateConfig {
  readonly raft: Pick<Raft, "snapshot" | "condInstallSnapshot">;
  readonly options: KvOptions;
  readonly log: Logger;
  /** Who waits for the result of which entry. */
  readonly waitApplyCh: WaitApplyCh<ApplyResult>;
  /** Undefined until the node has a disk. */
  readonly space: () => DiskSpace | undefined;
}

interface PendingRead {
  readonly index: number;
  readonly serve: () => void;
}

const snapshotReadBytes = 256 * 1024;
/** Of the bytes that trigger a snapshot, the part that may stay as trailing log. */
const trailingShare = 1 / 2;

/** The state machine, how far the log has brought it, and its snapshots. */
export class AppliedState {
  /** Called after each step, with the index that it has reached. */
  onApplied: (index: number, machine: KvStateMachine) => void = () => {};
  private readonly raft: AppliedStateConfig["raft"];
  private readonly options: KvOptions;
  private readonly log: Logger;
  private readonly waitApplyCh: WaitApplyCh<ApplyResult>;
  private readonly space: () => DiskSpace | undefined;
  private current = new KvStateMachine();
  private reached = 0;
  private reads: PendingRead[] = [];
  private sinceSnapshot = { bytes: 0, entries: 0 };
  private snapshotting = false;
  private snapshotPutOff = false;

  constructor({ raft, options, log, waitApplyCh, space }: AppliedStateConfig) {
    this.raft = raft;
    this.options = options;
    this.log = log;
    this.waitApplyCh = waitApplyCh;
    this.space = space;
  }

  get machine(): KvStateMachine {
    return this.current;
  }

  get lastApplied(): number {
    return this.reached;
  }

  /** Calls `serve` once the entry at `index` is applied; at once if it is. */
  whenApplied(index: number, serve: () => void): void {
    if (index <= this.reached) serve();
    else this.reads.push({ index, serve });
  }

  /** Commands at once; what follows a snapshot waits until that is installed. */
  apply(batch: readonly ApplyMsg[], from = 0): void | Promise<void> {
    for (let i = from; i < batch.length; i++) {
      const message = batch[i]!;
      if (message.commandValid) this.applyCommand(message);
      else return this.installSnapshot(message).then(() => this.apply(batch, i + 1));
    }
    this.serveReads();
  }

  private applyCommand({ command, commandIndex, commandTerm }: CommandMsg): void {
    // A snapshot can be newer than the message that announced it.
    if (commandIndex <= this.reached) return;
    const result = this.current.apply(command, commandIndex);
    this.reached = commandIndex;
    this.sinceSnapshot.bytes += command.length + entryOverheadBytes;
    this.sinceSnapshot.entries++;
    this.onApplied(commandIndex, this.current);
    this.waitApplyCh.applied(commandIndex, commandTerm, result);
    if (snapshotIsDue(this.sinceSnapshot, this.current.data.bytes, this.options))
      this.takeSnapshot();
  }

  private serveReads(): void {
    let count = 0;
    while (count < this.reads.length && this.reads[count]!.index <= this.reached) count++;
    if (count === 0) return;
    for (const read of this.reads.splice(0, count)) read.serve();
  }

  /** Captures the state as of now, and writes it out while everything goes on. */
  private takeSnapshot(): void {
    if (this.snapshotting || !this.hasRoomForSnapshot()) return;
    this.snapshotting = true;
    this.sinceSnapshot = { bytes: 0, entries: 0 };
    const trailing = {
      entriesMax: this.options.trailingEntries,
      bytesMax: this.options.snapshotLogBytes * trailingShare,
    };
    const capture = captureState(this.current);
    this.raft
      .snapshot(this.reached, capture, trailing)
      .catch((error: unknown) => this.log.error({ err: error }, "taking a snapshot failed"))
      .finally(() => {
        capture.close();
        this.snapshotting = false;
      });
  }

  /** One that fills the disk would end the node; until there is room, the log grows instead. */
  private hasRoomForSnapshot(): boolean {
    const space = this.space();
    const { bytes } = this.current.data;
    const fits = space === undefined || snapshotFits(bytes, space);
    if (!fits && !this.snapshotPutOff) this.log.warn({ ...space, bytes }, "no room for a snapshot");
    this.snapshotPutOff = !fits;
    return fits;
  }

  private async installSnapshot(message: SnapshotMsg): Promise<void> {
    const { snapshotIndex, snapshotTerm } = message;
    if (!this.raft.condInstallSnapshot(snapshotTerm, snapshotIndex)) return;
    const reader = await message.open();
    try {
      // Gone before the new one is there: memory need not hold both. Nothing is read meanwhile, for
      // what was committed lies beyond what this node has reached; and a failure ends the node.
      this.current = new KvStateMachine();
      const restored = await restoreState(readAll(reader));
      this.current = restored;
      this.reached = reader.meta.index;
      this.sinceSnapshot = { bytes: 0, entries: 0 };
      this.onApplied(this.reached, restored);
      this.log.info({ ...reader.meta, keys: restored.keyCount }, "snapshot installed");
    } finally {
      await reader.close();
    }
  }
}

function readAll(reader: SnapshotReader): AsyncGenerator<Uint8Array> {
  return readAhead(Math.ceil(reader.size / snapshotReadBytes), (part) =>
    reader.read(part * snapshotReadBytes, snapshotReadBytes),
  );
}
