import { RpcStatus } from "../../rpc/status.js";
import { ExactlyOnceModel } from "./exactlyOnceModel.js";
import { type FakeNode, type FakeRequest } from "./fakeNode.js";
import type { VirtualClock } from "./virtualClock.js";

/** How likely each fault is, from 0 to 1. */
export interface Faults {
  /** A request meets a fault at all. */
  readonly rate: number;
  /** With each request, another node becomes the leader. */
  readonly leaderChange: number;
  /** With each request, all sessions are forgotten. */
  readonly expiry: number;
}

/** Nodes that share one exactly-once state and answer late, wrongly, twice or not at all. */
export class FaultyCluster {
  readonly model = new ExactlyOnceModel();
  private readonly clock: VirtualClock;
  private readonly nodes: readonly FakeNode[];
  private readonly faults: Faults;
  private leader = 0;

  constructor(clock: VirtualClock, nodes: readonly FakeNode[], faults: Faults) {
    this.clock = clock;
    this.nodes = nodes;
    this.faults = faults;
    nodes.forEach((node, id) => {
      node.onRequest = (request) => this.serve(id, request);
    });
  }

  private serve(id: number, request: FakeRequest): void {
    if (this.chance(this.faults.leaderChange)) this.leader = this.pick(this.nodes.length);
    if (this.chance(this.faults.expiry)) this.model.expireAll();
    if (this.chance(this.faults.rate)) return this.misbehave(request);
    if (id === this.leader) return this.later(20, () => this.answer(request));
    const hint = this.pick(this.nodes.length + 2) - 1;
    this.later(5, () => request.reply("ErrWrongLeader", hint));
  }

  private misbehave(request: FakeRequest): void {
    const faults = [
      () => request.fail(RpcStatus.UNAVAILABLE, "connection refused", false),
      () => request.fail(RpcStatus.UNAVAILABLE, "connection reset", true),
      () => request.fail(RpcStatus.INTERNAL, "the handler threw"),
      () => request.fail(RpcStatus.RESOURCE_EXHAUSTED, "too many uncommitted bytes"),
      // Executed, and the answer is lost.
      () => {
        this.execute(request);
        request.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
      },
      // The connection breaks first, and the copy in the log is applied much later.
      () => {
        request.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
        this.later(5_000, () => this.execute(request));
      },
      // Answered twice: once late, or never as far as the Clerk can tell.
      () => this.later(5_000, () => this.answer(request)),
      () => {},
    ];
    faults[this.pick(faults.length)]!();
  }

  private answer(request: FakeRequest): void {
    request.reply(this.execute(request), 0, this.model.data.get(request.key));
  }

  private execute(request: FakeRequest): string {
    if (request.put !== null) return this.model.apply(request.put);
    if (request.method === "OpenSession") this.model.open(request.clientId);
    if (request.method === "Get" && !this.model.data.has(request.key)) return "ErrNoKey";
    return "OK";
  }

  private later(msMax: number, task: () => void): void {
    this.clock.setTimer(this.clock.random() * msMax, task);
  }

  private chance(probability: number): boolean {
    return this.clock.random() < probability;
  }

  private pick(count: number): number {
    return Math.floor(this.clock.random() * count);
  }
}
