import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMin,
  granted,
  heartbeatMs,
  refused,
  voteRequestsOf,
} from "./harness.js";

const hardState = { term: 4, votedFor: 1 };

function restarted(options: ConstructorParameters<typeof TestNode>[0] = {}): TestNode {
  const node = new TestNode({ hardState, ...options });
  node.core.restarted();
  return node;
}

describe("a node whose process began anew", () => {
  test("asks for pre-votes at once: all may have been down", () => {
    const node = restarted();
    node.elapse(heartbeatMs);
    const { request } = voteRequestsOf(node.settle()).find(({ to }) => to === 2)!;
    expect(request).toMatchObject({ preVote: true, term: 5 });
    node.core.requestVoteReplied(2, request, granted(request));
    expect([node.core.role, node.core.term]).toEqual(["candidate", 5]);
  });

  test("asks again soon, for the others may be just starting", () => {
    const node = restarted();
    node.elapse(heartbeatMs);
    expect(voteRequestsOf(node.settle())).toHaveLength(2);
    node.elapse(2 * heartbeatMs);
    expect(voteRequestsOf(node.settle())).toHaveLength(2);
    expect(3 * heartbeatMs).toBeLessThan(electionTimeoutMsMin);
  });

  test("disturbs no leader, and waits as ever once it has heard of one", () => {
    const node = restarted();
    node.elapse(heartbeatMs);
    const { request } = voteRequestsOf(node.settle())[0]!;
    node.core.requestVoteReplied(2, request, refused(4));
    expect(node.core.term).toBe(4);
    node.core.appendEntries(appendEntries({ term: 4, from: 1 }), 1);
    node.settle();
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.core.role).toBe("follower");
  });

  test.each([
    ["that was never in a cluster", { hardState: { term: 0, votedFor: -1 } }],
    ["that joins", { hardState: { ...hardState, joining: true } }],
    ["that may uphold a lease", { readMode: "lease" as const }],
    ["beside nodes of the original", { mixed: true }],
  ])("does not hurry %s", (_which, options) => {
    const node = restarted(options);
    node.elapse(electionTimeoutMsMin - 1);
    const elections = voteRequestsOf(node.settle()).filter(({ request }) => request.term > 0);
    expect(elections).toEqual([]);
  });
});
