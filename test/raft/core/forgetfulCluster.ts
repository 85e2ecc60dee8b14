/**
 * A cluster of cores whose messages are lost, late and out of order, and whose nodes lose their
 * disks, one at a time: the next one when the one before is back among those that vote.
 */
import {
  RaftCore,
  type AppendEntries,
  type HardState,
  type OutgoingRequest,
  type Ready,
  type Reply,
  type RequestVote,
  type TimeoutNow,
} from "../../../raft/core/index.js";
import { Prng } from "../../sim/prng.js";

const steps = 4_000;

interface Node {
  core: RaftCore;
  /** Counts its lives, so that what was meant for an older one is dropped. */
  life: number;
  waiting: Map<number, (reply: Reply) => void>;
}

export class ForgetfulCluster {
  forgotten = 0;
  admitted = 0;
  private readonly prng: Prng;
  private readonly joins: boolean;
  private readonly size: number;
  private readonly nodes: Node[] = [];
  private messages: (() => void)[] = [];
  private now = 0;
  private tokens = 0;
  private readonly leaders = new Map<number, number>();
  private readonly committed: number[] = [];
  private wasJoining = -1;
  private wrong: string | null = null;

  /** @param joins False: a node without its disk votes at once, as if it had never lived. */
  constructor(seed: number, joins: boolean) {
    this.prng = new Prng(seed);
    this.joins = joins;
    this.size = this.prng.pick([3, 3, 5]);
    for (let id = 0; id < this.size; id++) this.nodes.push(this.born(id, 0, false));
  }

  /** What was violated, or null. */
  run(): string | null {
    for (let step = 0; step < steps && this.wrong === null; step++) this.step();
    return this.wrong;
  }

  private step(): void {
    const { prng } = this;
    const draw = prng.float();
    if (draw < 0.75 && this.messages.length > 0) this.deliver();
    else if (draw < 0.95) {
      this.now += prng.int(1, 20);
      const id = prng.int(0, this.size - 1);
      this.nodes[id]!.core.tick(this.now);
      this.drain(id);
    } else if (draw < 0.985) {
      const id = prng.int(0, this.size - 1);
      this.nodes[id]!.core.propose([new Uint8Array(1)]);
      this.drain(id);
    } else this.forget(prng.int(0, this.size - 1));
  }

  private deliver(): void {
    const { messages, prng } = this;
    // Mostly in order, with a few that are very late.
    const at = prng.chance(0.7) ? 0 : prng.int(0, messages.length - 1);
    const [message] = messages.splice(at, 1);
    if (!prng.chance(0.03)) message!();
    if (messages.length > 2_000) messages.splice(0, 1_000);
  }

  private born(id: number, life: number, joins: boolean): Node {
    const hardState: HardState = { term: 0, votedFor: -1 };
    const core = new RaftCore(
      id,
      {
        clusterSize: this.size,
        heartbeatMs: 25,
        electionTimeoutMsMin: 100,
        electionTimeoutMsMax: 200,
        appendEntriesMax: 4,
        appendBytesMax: 1_000,
        appendBytesSafe: Infinity,
        inflightMax: 4,
        inflightBytesMax: 1_000,
        uncommittedBytesMax: 10_000,
        readMode: "readIndex",
        leaseClockDriftPpmMax: 0,
        mixed: false,
        noop: new Uint8Array(0),
        random: this.prng.float,
      },
      {
        hardState: joins ? { ...hardState, joining: true } : hardState,
        snapshot: { index: 0, term: 0 },
        entries: [],
      },
      this.now,
    );
    return { core, life, waiting: new Map() };
  }

  private forget(id: number): void {
    if (this.committed.length < 3 || this.isMending()) return;
    this.forgotten++;
    this.wasJoining = id;
    this.nodes[id] = this.born(id, this.nodes[id]!.life + 1, this.joins);
  }

  /** One failure at a time: until the last one has all that was committed, as a voter. */
  private isMending(): boolean {
    if (this.wasJoining === -1) return false;
    const { core } = this.nodes[this.wasJoining]!;
    if (core.isJoining || core.log.lastIndex < this.committed.length) return true;
    this.wasJoining = -1;
    this.admitted++;
    return false;
  }

  private drain(id: number): void {
    const { core } = this.nodes[id]!;
    for (let ready = core.ready(); ready !== null; ready = core.ready()) this.carryOut(id, ready);
    this.check(id);
  }

  private carryOut(id: number, ready: Ready): void {
    const node = this.nodes[id]!;
    if (ready.saveId !== 0) node.core.persisted(ready.saveId);
    for (const out of [...ready.requests, ...ready.requestsAfterPersist]) this.send(id, out);
    for (const { replyTo, reply } of [...ready.replies, ...ready.repliesAfterPersist]) {
      node.waiting.get(replyTo)?.(reply);
      node.waiting.delete(replyTo);
    }
  }

  private send(from: number, out: OutgoingRequest): void {
    const { life } = this.nodes[from]!;
    this.messages.push(() =>
      this.serve(out.to, out.request, (reply) => {
        this.messages.push(() => {
          const node = this.nodes[from]!;
          if (node.life !== life) return;
          node.core.tick(this.now);
          this.told(node.core, out, reply);
          this.drain(from);
        });
      }),
    );
  }

  private serve(
    to: number,
    request: AppendEntries | RequestVote | TimeoutNow,
    respond: (reply: Reply) => void,
  ): void {
    const { core, waiting } = this.nodes[to]!;
    const token = ++this.tokens;
    waiting.set(token, respond);
    core.tick(this.now);
    if (request.type === "AppendEntries") core.appendEntries(request, token);
    else if (request.type === "RequestVote") core.requestVote(request, token);
    else core.timeoutNow(request, token);
    this.drain(to);
  }

  private told(core: RaftCore, out: OutgoingRequest, reply: Reply): void {
    if ("context" in out) {
      if (reply.type === "AppendEntriesReply") {
        core.appendEntriesReplied(out.to, out.context, reply);
      }
    } else if (out.request.type === "RequestVote" && reply.type === "RequestVoteReply") {
      core.requestVoteReplied(out.to, out.request, reply);
    }
  }

  private check(id: number): void {
    const { core } = this.nodes[id]!;
    if (core.role === "leader") {
      const known = this.leaders.get(core.term) ?? id;
      if (known !== id) this.wrong ??= `nodes ${known} and ${id} lead term ${core.term}`;
      this.leaders.set(core.term, id);
    }
    for (let index = 1; index <= core.log.commitIndex; index++) {
      const term = core.log.term(index);
      const known = this.committed[index - 1] ?? term;
      if (known !== term) this.wrong ??= `entry ${index} committed in ${known} and ${term}`;
      this.committed[index - 1] = term;
    }
  }
}
