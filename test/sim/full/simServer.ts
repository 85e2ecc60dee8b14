import { readVerdict } from "../../../clerk/outcome.js";
import type { ServerReply } from "../../../clerk/serverNode.js";
import type { RaftEnvironment } from "../../../raft/environment.js";
import { RaftRpcUtil } from "../../../raft/raftRpcUtil.js";
import { RaftService } from "../../../raft/raftService.js";
import { WalPersister } from "../../../raft/persister/walPersister.js";
import type { RaftPeer } from "../../../raft/raftPeer.js";
import { KvServer } from "../../../kvserver/kvServer.js";
import type { KvStateMachine } from "../../../kvserver/stateMachine.js";
import { MprpcController } from "../../../rpc/mprpcController.js";
import type { MethodDescriptor, RpcService } from "../../../rpc/service.js";
import { MemoryDisk, type Operation } from "../../raft/persister/memoryDisk.js";
import { DurableState } from "../durableState.js";
import type { Invariants, NodeView } from "../invariants.js";
import type { SimNetwork } from "../network.js";
import { NodeClock } from "../nodeClock.js";
import type { Prng } from "../prng.js";
import type { Trace } from "../trace.js";
import type { VirtualClock } from "../virtualClock.js";
import { DiskFaults } from "./diskFaults.js";
import type { FullTuning } from "./fullTuning.js";
import { encoded, SimChannel, type Respond } from "./simChannel.js";
import { stateHash } from "./stateHash.js";
import { watchReply, watchRequest } from "./watchMessages.js";
import { WatchedPersister } from "./watchedPersister.js";

/** What the servers of a run share. */
export interface FullWorld {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly invariants: Invariants;
  readonly tuning: FullTuning;
  readonly server: (id: number) => SimServer;
  /** Something happened at a server: it is looked at before the next event. */
  readonly touched: (server: SimServer) => void;
  /** Whether each answered read is compared with what was committed when it came. */
  readonly readsAreWatched: boolean;
  /** How long a server that went down stays so. */
  readonly downMs: () => number;
  /** A run ends with the first of these. */
  readonly failed: (error: Error) => void;
}

/** Indexes between two looks at the whole state. */
const indexesPerHash = 16;
const directory = "/data";
/** Before a server that could not open its disk tries again. */
const reopenMs = 50;

/** One process from its start to its end. */
interface Life {
  persister: WatchedPersister | null;
  kvServer: KvServer | null;
}

/** A whole node in production code; only network, disk, clock and chance are simulated. */
export class SimServer implements NodeView {
  readonly id: number;
  readonly clock: NodeClock;
  readonly diskFaults: DiskFaults;
  durable: DurableState;
  private readonly world: FullWorld;
  private readonly prng: Prng;
  private readonly disk = new MemoryDisk();
  private life: Life | null = null;
  private lastPersister: WatchedPersister | null = null;
  private isPaused = false;
  private isHeldDown = false;
  private inbox: (() => void)[] = [];
  private operationsToCrash = 0;
  /** Its disk was lost once: from then on a new one may have forgotten something. */
  private wasWiped = false;
  /** Nothing was seen yet of what its disk holds, which is new. */
  private isBlank = true;
  /** The disk has failed this process, or an earlier one that it let down. */
  private diskFailed = false;

  constructor(id: number, world: FullWorld, prng: Prng) {
    const { tuning, invariants, clock } = world;
    this.id = id;
    this.world = world;
    this.prng = prng;
    this.diskFaults = new DiskFaults(clock, prng.fork(), tuning.disk);
    this.clock = new NodeClock(clock, prng.between(0, 1_000_000), 1);
    this.drift();
    this.durable = new DurableState(id, invariants);
    this.disk.fault = (operation) => this.diskFault(operation);
    this.disk.defer = (task) => this.syncLater(task);
    this.disk.freeBytes = () => this.diskFaults.freeBytes();
  }

  // --- up and down

  get core(): NodeView["core"] {
    const raft = this.life?.kvServer?.raft;
    return raft?.isRunning === true ? raft.consensus : null;
  }

  get lastApplied(): number {
    return this.appliedIndex;
  }
  private appliedIndex = 0;
  private machine: KvStateMachine | null = null;

  /** Whether it has no vote and counts for nothing: its disk is new, and the cluster may be old. */
  get isJoining(): boolean {
    return this.isBlank ? !this.newDiskVotes : this.durable.hardState.joining === true;
  }

  private get newDiskVotes(): boolean {
    return this.world.tuning.newNodesVote && !this.wasWiped;
  }

  /** Bytes in the log, as far as it is not compacted. */
  get logBytes(): number {
    return this.life?.persister?.logBytes ?? 0;
  }

  /** Bytes of its largest snapshot on the disk, whole or not. */
  get snapshotBytes(): number {
    const paths = this.disk.paths().filter((path) => path.includes("snapshot"));
    return Math.max(0, ...paths.map((path) => this.disk.contents(path).length));
  }

  start(): void {
    if (this.life !== null || this.isHeldDown) return;
    const life: Life = { persister: null, kvServer: null };
    this.life = life;
    this.diskFailed = false;
    this.event("start");
    this.boot(life).catch((error: unknown) => {
      if (this.life === life) this.bootFailed(error as Error);
    });
  }

  /** Power off: nothing of the process is left, and of its disk what was synced, and some more. */
  crash(): void {
    if (this.life === null) return;
    this.event("crash");
    this.life = null;
    const { keepChance } = this.diskFaults.tuning;
    this.disk.crash(() => this.prng.chance(keepChance));
    this.isPaused = false;
    this.inbox = [];
    this.operationsToCrash = 0;
    this.appliedIndex = 0;
    this.machine = null;
    this.world.touched(this);
    this.world.clock.after(this.world.downMs(), () => this.start());
  }

  /** Power off, and the disk is lost. */
  wipe(): void {
    this.event("wipe");
    this.crash();
    this.disk.wipe();
    this.world.invariants.wiped(this);
    this.durable = new DurableState(this.id, this.world.invariants);
    this.lastPersister = null;
    this.wasWiped = true;
    this.isBlank = true;
  }

  /** In the midst of what the disk is to do then. */
  crashAtOperation(operation: number): void {
    this.operationsToCrash = operation;
  }

  pause(): void {
    if (this.life !== null) this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    const { life, inbox } = this;
    this.inbox = [];
    for (const task of inbox) if (this.life === life) task();
    this.world.touched(this);
  }

  /** Down until it is let up again. */
  holdDown(): void {
    this.isHeldDown = true;
    this.crash();
  }

  letUp(): void {
    this.isHeldDown = false;
    this.start();
  }

  /** The clock takes another pace, within what the run's conditions allow. */
  drift(): void {
    this.clock.runAt(1 + this.prng.between(-1, 1) * this.world.tuning.clockDriftMax);
  }

  transfer(target: number): void {
    const { life } = this;
    if (life !== null) this.run(life, () => life.kvServer?.raft.transferLeadership(target));
  }

  // --- what happens in the process

  /** Runs `task` in the process `life`, unless that is over; while it is paused it waits. */
  private run(life: Life, task: () => void): void {
    if (this.life !== life) return;
    if (this.isPaused) {
      this.inbox.push(task);
      return;
    }
    this.world.touched(this);
    task();
  }

  private async boot(life: Life): Promise<void> {
    const environment = this.environment(life);
    const { tuning, server } = this.world;
    const inner = await WalPersister.open(directory, {
      nodeId: this.id,
      fs: this.disk.mount(),
      segmentBytes: tuning.segmentBytes,
      newNodeVotes: this.newDiskVotes,
      schedule: environment.schedule,
      now: environment.now,
      every: (ms, task) => this.repeat(life, ms, task),
      randomBytes: (count) => Uint8Array.from({ length: count }, () => this.prng.int(0, 255)),
      syncPolicy: { waits: () => this.diskFaults.isQuick(), observe: () => {} },
    });
    if (this.life !== life) return;
    this.checkRecovered(inner);
    const persister = new WatchedPersister(inner, this.durable);
    this.lastPersister = persister;
    const kvServer = new KvServer({ options: tuning.kv, raftOptions: tuning.raft, environment });
    kvServer.onFailure = (error) => this.failed(life, error);
    kvServer.onApplied = (index, machine) => {
      if (this.life === life) this.applied(index, machine);
    };
    const peers = Array.from({ length: tuning.nodes }, (_, to) =>
      to === this.id ? null : this.peer(life, server(to)),
    );
    life.persister = persister;
    life.kvServer = kvServer;
    kvServer.start(peers, this.id, persister);
    this.event("up", persister.recovered.entries.length);
    this.world.touched(this);
  }

  private environment(life: Life): RaftEnvironment {
    const { clock, tuning } = this.world;
    return {
      now: () => this.clock.now,
      random: this.prng.float,
      setTimer: (ms, task) => clock.after(this.clock.lasts(ms), () => this.run(life, task)),
      schedule: (task) => {
        clock.after(this.prng.between(0, tuning.turnMsMax), () => this.run(life, task));
      },
    };
  }

  private repeat(life: Life, ms: number, task: () => void): () => void {
    const { setTimer } = this.environment(life);
    const tick = (): void => {
      task();
      cancel = setTimer(ms, tick);
    };
    let cancel = setTimer(ms, tick);
    return () => cancel();
  }

  private peer(life: Life, other: SimServer): RaftPeer {
    const { clock, network, tuning, invariants } = this.world;
    const channel = new SimChannel({
      clock,
      network,
      from: this.id,
      to: other.id,
      listener: (method, request, respond) => other.serve(method, request, respond),
      inCaller: (task) => this.run(life, task),
      timeoutMs: 1_000,
    });
    const peer = new RaftRpcUtil({ host: "", port: 0, raft: tuning.raft }, channel);
    channel.onRefused = () => peer.onDown();
    return watchRequest(peer, (request) => invariants.requestLeaves(this, request));
  }

  /** A request arrives. False: nobody listens. */
  serve(method: MethodDescriptor, bytes: Uint8Array, respond: Respond): boolean {
    const { life } = this;
    if (life === null || life.kvServer === null) return false;
    this.run(life, () => this.call(life.kvServer!, method, bytes, respond));
    return true;
  }

  private call(
    kvServer: KvServer,
    method: MethodDescriptor,
    bytes: Uint8Array,
    respond: Respond,
  ): void {
    const { life } = this;
    const controller = new MprpcController();
    const request = method.request.decode(bytes);
    this.event(method.name, bytes.length);
    const commitWhenAsked = this.world.invariants.commitIndex;
    const service: RpcService =
      method.serviceName === kvServer.descriptor.name ? kvServer : new RaftService(kvServer.raft);
    service.callMethod(method, controller, request, (reply) => {
      if (this.life !== life) return;
      if (controller.failed() || reply === null)
        return respond(null, controller.status, controller.errorText());
      this.clientReplyLeaves(method.name, reply, commitWhenAsked);
      watchReply(method, request, reply, (asked, answer) =>
        this.world.invariants.replyLeaves(this, asked, answer),
      );
      return respond(encoded(method.response, reply), controller.status, "");
    });
  }

  private clientReplyLeaves(method: string, reply: unknown, commitWhenAsked: number): void {
    if (method !== "Get" && method !== "PutAppend") return;
    const { invariants, readsAreWatched } = this.world;
    const verdict = readVerdict((reply as ServerReply).Err);
    if (method === "PutAppend" && verdict === "ok")
      invariants.writeAcknowledged(this, this.appliedIndex);
    else if (method === "Get" && verdict !== "wrongLeader" && readsAreWatched)
      invariants.readConfirmed(this.id, this.appliedIndex, commitWhenAsked);
  }

  private applied(index: number, machine: KvStateMachine): void {
    const isInstalled = index !== this.appliedIndex + 1;
    this.appliedIndex = index;
    this.machine = machine;
    if (!isInstalled && index % indexesPerHash !== 0) return;
    try {
      this.world.invariants.applied(this, index, stateHash(machine));
    } catch (error) {
      this.world.failed(error as Error);
    }
  }

  /** The whole state, against what others had at the same index. */
  compareState(): void {
    if (this.machine !== null)
      this.world.invariants.stateIs(this.id, this.appliedIndex, stateHash(this.machine));
  }

  // --- the disk

  private syncLater(task: () => void): void {
    const { life } = this;
    this.world.clock.after(this.diskFaults.syncMs(), () => {
      if (life !== null) this.run(life, task);
    });
  }

  private diskFault(operation: Operation): string | null {
    this.disk.calls.length = 0;
    if (this.operationsToCrash > 0 && --this.operationsToCrash === 0) {
      this.crash();
      return "EIO";
    }
    const error = this.diskFaults.errorOf(operation);
    this.diskFailed ||= error !== null;
    return error;
  }

  /** All that was promised is there again. */
  private checkRecovered({ recovered }: WalPersister): void {
    const { hardState, snapshot, entries } = recovered;
    const next = new DurableState(this.id, this.world.invariants);
    const first = entries[0]?.index ?? (snapshot?.index ?? 0) + 1;
    const before = snapshot?.index === first - 1 ? snapshot : { index: first - 1, term: 0 };
    next.apply({ reset: before, hardState });
    if (snapshot !== null) next.writeSnapshot({ meta: snapshot, hash: -1 });
    next.apply({ entries });
    const { invariants } = this.world;
    invariants.recovered(this.durable, next, this.lastPersister?.firstUncertain);
    this.durable = next;
    this.isBlank = false;
    invariants.majorityHolds(invariants.commitIndex);
  }

  private failed(life: Life, error: Error): void {
    if (this.life !== life) return;
    this.event("failed");
    if (error.name === "StorageError" && this.diskFailed) this.crash();
    else this.world.failed(error);
  }

  private bootFailed(error: Error): void {
    if (error.name !== "StorageError" || !this.diskFailed) return this.world.failed(error);
    this.event("boot failed");
    this.life = null;
    this.disk.kill();
    this.world.clock.after(reopenMs, () => this.start());
  }

  event(what: string, ...values: number[]): void {
    this.world.trace.add(this.world.clock.now, this.id, what, ...values);
  }
}
