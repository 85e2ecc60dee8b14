import type {
  CoreOptions,
  OutgoingReply,
  OutgoingRequest,
  Reply,
  SnapshotMeta,
} from "../../../raft/core/index.js";
import { electionTimeoutMsMax, electionTimeoutMsMin, heartbeatMs } from "../core/harness.js";
import { ScriptNode, type Outlet, type StartingLog } from "./scriptNode.js";
import { replyText, requestText, snapshotText } from "./wording.js";

interface Message {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  /** The life of the receiver that a reply is meant for; a request is for any. */
  readonly life: number | null;
  arrive(): void;
  /** What the sender learns when it is lost: the transport tells it that a call failed. */
  fail(): void;
}

interface Transfer {
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly life: number;
  readonly meta: SnapshotMeta;
}

/** Nodes and the messages between them, which move only as a script says. */
export class ScriptCluster implements Outlet {
  readonly nodes: ScriptNode[];
  private queue: Message[] = [];
  private replyTokens = 0;
  /** By token: how a reply finds its request. */
  private readonly origins = new Map<
    number,
    { readonly asker: number; readonly life: number; take(reply: Reply): void; fail(): void }
  >();

  constructor(options: Partial<CoreOptions>, starts: readonly StartingLog[]) {
    this.nodes = starts.map(
      (start, id) => new ScriptNode(id, nodeOptions(id, starts.length, options), start, this),
    );
  }

  node(id: number): ScriptNode {
    const node = this.nodes[id];
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  request(from: number, out: OutgoingRequest): string {
    const text = `${from}->${out.to} ${requestText(out)}`;
    const sender = this.node(from);
    const { life } = sender;
    this.push({
      from,
      to: out.to,
      text,
      life: null,
      arrive: () => this.deliverRequest(from, life, out),
      fail: () => this.callFailed(from, life, out),
    });
    return text;
  }

  private callFailed(asker: number, life: number, out: OutgoingRequest): void {
    const { core, life: now } = this.node(asker);
    if ("context" in out && now === life) core.appendEntriesFailed(out.to, out.context);
  }

  private deliverRequest(asker: number, life: number, out: OutgoingRequest): void {
    const token = ++this.replyTokens;
    const { core } = this.node(out.to);
    const sender = this.node(asker);
    this.origins.set(token, {
      asker,
      life,
      take: (reply) => {
        if ("context" in out && reply.type === "AppendEntriesReply")
          sender.core.appendEntriesReplied(out.to, out.context, reply);
        else if (out.request.type === "RequestVote" && reply.type === "RequestVoteReply")
          sender.core.requestVoteReplied(out.to, out.request, reply);
      },
      fail: () => this.callFailed(asker, life, out),
    });
    const { request } = out;
    if (request.type === "AppendEntries") core.appendEntries(request, token);
    else if (request.type === "RequestVote") core.requestVote(request, token);
    else core.timeoutNow(request, token);
  }

  reply(from: number, { replyTo, reply }: OutgoingReply): string {
    const origin = this.origins.get(replyTo);
    if (origin === undefined) throw new Error(`a reply to nothing: ${replyText(reply)}`);
    this.origins.delete(replyTo);
    const text = `${from}->${origin.asker} ${replyText(reply)}`;
    const { asker: to, life, fail } = origin;
    this.push({ from, to, text, life, arrive: () => origin.take(reply), fail });
    return text;
  }

  snapshot(from: number, to: number, term: number, meta: SnapshotMeta): string {
    const text = `${from}->${to} ${snapshotText(term, meta)}`;
    const sender = this.node(from);
    const { life } = sender;
    const transfer = { from, to, term, life, meta };
    this.push({
      from,
      to,
      text,
      life: null,
      arrive: () =>
        this.node(to).receive(from, term, meta, (taken) => this.snapshotReply(transfer, taken)),
      fail: () => {
        if (sender.life === life) sender.core.snapshotSent(to, term, meta, false);
      },
    });
    return text;
  }

  private snapshotReply({ from, to, term, life, meta }: Transfer, taken: boolean): string {
    const { core } = this.node(from);
    const replyTerm = this.node(to).core.term;
    const text = `${to}->${from} InstallSnapshotReply term ${replyTerm} ${taken ? "taken" : "refused"}`;
    this.push({
      from: to,
      to: from,
      text,
      life,
      arrive: () => {
        core.snapshotProgressed(to, term, replyTerm);
        core.snapshotSent(to, term, meta, taken);
      },
      fail: () => core.snapshotSent(to, term, meta, false),
    });
    return text;
  }

  private push(message: Message): void {
    this.queue.push(message);
  }

  /** The messages that are under way, oldest first. */
  get underWay(): string[] {
    return this.queue.map(({ text }) => text);
  }

  /** Takes up to `count` messages of one direction out of the queue. */
  take(from: number, to: number, count: number): Message[] {
    const taken: Message[] = [];
    this.queue = this.queue.filter((message) => {
      const wanted = message.from === from && message.to === to && taken.length < count;
      if (wanted) taken.push(message);
      return !wanted;
    });
    return taken;
  }

  deliver(message: Message): string {
    const receiver = this.node(message.to);
    if (message.life !== null && message.life !== receiver.life)
      return `${message.text} (for an earlier life)`;
    message.arrive();
    return message.text;
  }

  drop(message: Message): string {
    message.fail();
    return `${message.text} is lost`;
  }

  /** Output, disks and messages among `ids` go on until nothing is left to do. */
  stabilize(ids: readonly number[]): string[] {
    const lines: string[] = [];
    for (let rounds = 0; rounds < 200; rounds++) {
      const before = lines.length;
      for (const id of ids) lines.push(...this.settle(this.node(id)));
      for (const message of this.queue.filter(
        ({ from, to }) => ids.includes(from) && ids.includes(to),
      ))
        this.deliverQueued(message);
      if (lines.length === before && !ids.some((id) => this.node(id).hasWork)) return lines;
    }
    throw new Error("it does not come to rest");
  }

  /**
   * Whoever led is forgotten, `id` campaigns, and `voters` answer; nothing else moves. The leader's
   * first output is still to come.
   */
  elect(id: number, voters: readonly number[]): void {
    const candidate = this.node(id);
    if (leads(candidate)) throw new Error(`${id} leads already`);
    for (const voter of voters) this.node(voter).elapse(electionTimeoutMsMin);
    for (let attempts = 0; attempts < 10 && !leads(candidate); attempts++) {
      candidate.elapse(Math.max(0, candidate.core.nextDeadline - candidate.now));
      this.canvass(candidate, voters);
    }
    if (!leads(candidate)) throw new Error(`${id} is not elected`);
  }

  private canvass(candidate: ScriptNode, voters: readonly number[]): void {
    const { id } = candidate;
    for (let rounds = 0; rounds < 2 && !leads(candidate); rounds++) {
      this.settle(candidate);
      for (const voter of voters) {
        for (const message of this.queue.filter(
          (one) => isVote(one) && one.from === id && one.to === voter,
        ))
          this.deliverQueued(message);
        this.settle(this.node(voter));
        for (const message of this.queue.filter(
          (one) => isVote(one) && one.from === voter && one.to === id,
        ))
          if (!leads(candidate)) this.deliverQueued(message);
      }
    }
    // What was asked of the others never arrives.
    this.queue = this.queue.filter((one) => !isVote(one) || (one.from !== id && one.to !== id));
  }

  private settle(node: ScriptNode): string[] {
    const lines: string[] = [];
    while (node.hasWork) lines.push(...node.ready(), ...node.persist());
    return lines;
  }

  private deliverQueued(message: Message): void {
    this.queue.splice(this.queue.indexOf(message), 1);
    this.deliver(message);
  }
}

function isVote({ text }: Message): boolean {
  return /PreVote|RequestVote/.test(text);
}

function leads({ core }: ScriptNode): boolean {
  return core.role === "leader";
}

/** Timeouts differ by node and never change, so that scripts can count on them. */
function nodeOptions(id: number, clusterSize: number, options: Partial<CoreOptions>): CoreOptions {
  return {
    clusterSize,
    heartbeatMs,
    electionTimeoutMsMin,
    electionTimeoutMsMax,
    appendEntriesMax: 1000,
    appendBytesMax: 1_000_000,
    appendBytesSafe: Infinity,
    inflightMax: 64,
    inflightBytesMax: 1_000_000,
    uncommittedBytesMax: 1_000_000,
    readMode: "readIndex",
    leaseClockDriftPpmMax: 0,
    mixed: false,
    noop: new Uint8Array(0),
    random: () => (id + 1) / (clusterSize + 1),
    ...options,
  };
}
