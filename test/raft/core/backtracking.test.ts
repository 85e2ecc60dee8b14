import fc from "fast-check";
import { expect, test } from "vitest";
import { TestNode, logOf } from "./harness.js";

/** How many of the items are not equal to the one before. */
function runs(terms: readonly number[]): number {
  return terms.filter((term, at) => term !== terms[at - 1]).length;
}

/** Sends what the leader has for follower 1, and its answers back, until both logs are equal. */
function roundTripsToAgree(leader: TestNode, follower: TestNode): number {
  for (let trips = 0; ; trips++) {
    const sent = leader.appends().filter(({ to }) => to === 1);
    if (sent.length === 0) return trips;
    for (const { request, context } of sent)
      leader.core.appendEntriesReplied(1, context, follower.append(request));
  }
}

const growing = fc
  .array(
    fc.record({ term: fc.integer({ min: 0, max: 3 }), count: fc.integer({ min: 1, max: 40 }) }),
  )
  .map((steps) => {
    let term = 1;
    return steps.flatMap((step) => {
      term += step.term;
      return Array.from({ length: step.count }, () => term);
    });
  });

test("UpdateNextIndex finds the common part in a round trip for each conflicting term (§5.3)", () => {
  fc.assert(
    fc.property(growing, growing, growing, (common, ofLeader, ofFollower) => {
      const shift = common.at(-1) ?? 0;
      // Entries of one term come from one leader: the two logs part in different terms.
      const own = [...common, ...ofLeader.map((term) => shift + 2 * term)];
      const other = [...common, ...ofFollower.map((term) => shift + 2 * term + 1)];
      const newest = Math.max(own.at(-1) ?? 0, other.at(-1) ?? 0);
      const leader = new TestNode({
        entries: logOf(own),
        hardState: { term: newest, votedFor: -1 },
        random: () => 0,
      }).elect();
      const follower = new TestNode({ id: 1, entries: logOf(other) });
      const trips = roundTripsToAgree(leader, follower);
      expect(follower.terms).toEqual(leader.terms);
      expect(trips).toBeLessThanOrEqual(runs(other) + 2);
    }),
  );
});

test("a follower a thousand entries of one term astray takes three round trips", () => {
  const leader = new TestNode({
    entries: logOf([...Array<number>(10).fill(1), ...Array<number>(1000).fill(3)]),
  }).elect();
  const follower = new TestNode({
    id: 1,
    entries: logOf([...Array<number>(10).fill(1), ...Array<number>(1200).fill(2)]),
  });
  expect(roundTripsToAgree(leader, follower)).toBeLessThanOrEqual(3);
  expect(follower.terms).toEqual(leader.terms);
});
