/** Data directories of the key-value server on a disk in memory, and the tool run on them. */
import { runDataCli } from "../../../kvserver/data/cli.js";
import type { DataWorld } from "../../../kvserver/data/world.js";
import { encodeOp, type Op } from "../../../kvserver/opCodec.js";
import { KvStateMachine } from "../../../kvserver/stateMachine.js";
import { captureState } from "../../../kvserver/stateSnapshot.js";
import type { WalPersister } from "../../../raft/persister/walPersister.js";
import { MemoryDisk } from "../../raft/persister/memoryDisk.js";
import { open, save } from "../../raft/persister/support.js";

export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

export function put(key: Uint8Array, value: Uint8Array, fields: Partial<Op> = {}): Op {
  return {
    operation: "Put",
    key,
    value,
    clientId: bytes("client"),
    requestId: 1,
    firstUnfinished: 0,
    logTimeMs: 0,
    ...fields,
  };
}

/** A log of a no-op, then the ops, of which the first `snapshotAfter` are in a snapshot as well. */
export class Store {
  readonly disk: MemoryDisk;
  readonly machine = new KvStateMachine();
  private readonly persister: WalPersister;
  private last = 0;
  private requests = 0;

  private constructor(disk: MemoryDisk, persister: WalPersister) {
    this.disk = disk;
    this.persister = persister;
  }

  /** One of node 1 at `/data`, in term 3, with a no-op at index 1. */
  static async create(): Promise<Store> {
    const disk = new MemoryDisk();
    const store = new Store(disk, await open(disk, { newNodeVotes: true }));
    await save(store.persister, { hardState: { term: 3, votedFor: 2 } });
    await store.command(new Uint8Array(0));
    return store;
  }

  put(key: string, value: string): Promise<void> {
    return this.putBytes(bytes(key), bytes(value));
  }

  putBytes(key: Uint8Array, value: Uint8Array): Promise<void> {
    const op = put(key, value, { requestId: ++this.requests });
    return this.command(encodeOp(op, this.last % 2 === 0 ? "compact" : "boost"));
  }

  async command(command: Uint8Array): Promise<void> {
    this.last++;
    this.machine.apply(command, this.last);
    await save(this.persister, { entries: [{ index: this.last, term: 3, command }] });
  }

  async snapshot(): Promise<void> {
    const writer = await this.persister.createSnapshot({ index: this.last, term: 3 }, "local");
    for (const chunk of captureState(this.machine)) await writer.write(chunk);
    await writer.commit();
  }

  compact(throughIndex: number): Promise<void> {
    return this.persister.compact({ index: throughIndex, term: 3 }, throughIndex);
  }

  close(): Promise<void> {
    return this.persister.close();
  }
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command line; `world` overrides what it would get. */
export async function run(
  disk: MemoryDisk | null,
  argv: readonly string[],
  world: Partial<DataWorld> = {},
): Promise<Outcome> {
  const outcome = { out: "", err: "" };
  const code = await runDataCli(argv, {
    env: {},
    version: "1.2.3",
    fs: disk?.mount() ?? unusable,
    stderrIsTty: false,
    signal: new AbortController().signal,
    now: () => 0,
    writeOut: async (text) => {
      outcome.out += text;
    },
    writeErr: (text) => {
      outcome.err += text;
    },
    ...world,
  });
  return { code, ...outcome };
}

/** Of a command line that never gets as far as a file. */
const unusable = new MemoryDisk().mount();

/** What `escapeBytes` made of them. */
export function unescape(word: string): Uint8Array {
  const text = word.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return bytes(text);
}

/** The fields of a line of `dump`. */
export function fieldsOf(line: string): ReadonlyMap<string, string> {
  return new Map(
    line.split(" ").map((field) => {
      const at = field.indexOf("=");
      return [field.slice(0, at), field.slice(at + 1)];
    }),
  );
}

/** The lines that were written, without the last line's end. */
export function linesOf(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
