import { describe, expect, test } from "vitest";
import { CoreClock } from "../../raft/coreClock.js";
import type { RaftEnvironment } from "../../raft/environment.js";
import {
  appendsOf,
  electionTimeoutMsMax,
  electionTimeoutMsMin,
  heartbeatMs,
  TestNode,
} from "./core/harness.js";

/** A core that is told the time by a driver's clock. */
class Driven {
  readonly node: TestNode;
  private readonly clock: CoreClock;
  private diskSteps = 0;

  constructor(node: TestNode) {
    this.node = node;
    const environment = { now: () => node.now } as RaftEnvironment;
    this.clock = new CoreClock(environment, electionTimeoutMsMin);
  }

  /** The process ran when it should have, or did not for `ms`. */
  wakeAfter(ms: number): void {
    this.node.now += ms;
    this.clock.tick(this.node.core, this.diskSteps);
  }

  stepDisk(): void {
    this.diskSteps++;
  }

  get deadline(): number {
    return this.clock.deadline(this.node.core);
  }
}

const longSleep = 10 * electionTimeoutMsMax;

describe("a process that did not run", () => {
  test("a leader hears the answers that came meanwhile before it counts them", () => {
    const driven = new Driven(new TestNode().electAndSync());
    const { node } = driven;
    driven.wakeAfter(heartbeatMs);
    const appends = appendsOf(node.ready());
    driven.wakeAfter(longSleep);
    expect(node.core.role).toBe("leader");
    for (const append of appends) node.acknowledge(append);
    driven.wakeAfter(electionTimeoutMsMin);
    expect(node.core.role).toBe("leader");
  });

  test("without any it steps down, a little later", () => {
    const driven = new Driven(new TestNode().electAndSync());
    driven.wakeAfter(longSleep);
    const { deadline, node } = driven;
    expect(deadline).toBeGreaterThan(node.now);
    expect(deadline - node.now).toBeLessThan(electionTimeoutMsMin);
    driven.wakeAfter(deadline - node.now);
    expect(node.core.role).toBe("follower");
  });

  test("one that is always late decides all the same", () => {
    const driven = new Driven(new TestNode().electAndSync());
    const { node } = driven;
    for (let turn = 0; turn < 20; turn++) {
      driven.wakeAfter(electionTimeoutMsMin);
      node.ready();
    }
    expect(node.core.role).not.toBe("leader");
  });

  test("a follower hears its leader before it asks for votes", () => {
    const driven = new Driven(new TestNode());
    const { node } = driven;
    driven.wakeAfter(longSleep);
    expect(node.core.role).toBe("follower");
    driven.wakeAfter(driven.deadline - node.now);
    expect(node.core.role).toBe("pre-candidate");
  });

  test("a disk whose answer is unread has not stalled", () => {
    const driven = new Driven(new TestNode().electAndSync());
    const { node } = driven;
    node.propose("a");
    const appends = appendsOf(node.ready());
    driven.wakeAfter(longSleep);
    for (const append of appends) node.acknowledge(append);
    driven.stepDisk();
    driven.wakeAfter(electionTimeoutMsMin);
    expect(node.core.role).toBe("leader");
  });
});

test("in time it is told at once", () => {
  const driven = new Driven(new TestNode());
  driven.wakeAfter(driven.deadline - driven.node.now);
  expect(driven.node.core.role).toBe("pre-candidate");
});
