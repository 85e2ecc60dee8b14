import * as fc from "fast-check";
import { expect, it } from "vitest";
import { ClerkError } from "../../clerk/errors.js";
import type { Revision } from "../../clerk/serverNode.js";
import { FaultyCluster, type Faults } from "./faultyCluster.js";
import { harness } from "./harness.js";

const appendCount = 60;

/** How often an append with this result may stand in the data. */
const timesAllowed = { acknowledged: [1], "did not happen": [0], "may have happened": [0, 1] };

interface Outcome {
  readonly token: string;
  readonly result: keyof typeof timesAllowed;
}

async function outcomeOf(token: string, append: Promise<void>): Promise<Outcome> {
  try {
    await append;
    return { token, result: "acknowledged" };
  } catch (error) {
    if (!(error instanceof ClerkError)) throw error;
    return { token, result: error.mayHaveHappened ? "may have happened" : "did not happen" };
  }
}

async function run(seed: number, faults: Faults, inFlight: number, revisions: Revision[]) {
  const settings = { timeoutMs: 3_000, attemptTimeoutMs: 300, callsInFlightMax: inFlight };
  const { clerk, clock, nodes } = harness(revisions.length, settings, seed);
  nodes.forEach((node, id) => (node.speaks = revisions[id]!));
  const cluster = new FaultyCluster(clock, nodes, faults);
  const outcomes: Promise<Outcome>[] = [];
  for (let n = 0; n < appendCount; n++) {
    const aborter = new AbortController();
    if (n % 10 === 9) clock.setTimer(clock.random() * 1_000, () => aborter.abort());
    const token = `<${n}>`;
    const append = clerk.append(`key${n % 2}`, token, { signal: aborter.signal });
    outcomes.push(outcomeOf(token, append));
    await clock.advance(clock.random() * 20);
  }
  // Longer than every deadline, and than the latest late copy.
  await clock.advance(30_000);
  return { outcomes: await Promise.all(outcomes), model: cluster.model };
}

/** The appends that stand in the data more or less often than they may. */
function wrongOutcomes(outcomes: readonly Outcome[], data: ReadonlyMap<string, string>): string[] {
  const everything = [...data.values()].join("");
  return outcomes.flatMap(({ token, result }) => {
    const times = everything.split(token).length - 1;
    return timesAllowed[result].includes(times) ? [] : [`${token} ${result}, ${times} times`];
  });
}

const faultsArbitrary = fc.record({
  rate: fc.constantFrom(0, 0.1, 0.3, 0.7),
  leaderChange: fc.constantFrom(0, 0.02, 0.2),
  expiry: fc.constantFrom(0, 0, 0.02, 0.1),
});

const clustersArbitrary = fc.constantFrom<Revision[]>([2], [2, 2, 2], [1, 1, 1], [1, 2, 2]);

it("an acknowledged append is there once, one that did not happen never, others at most once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      faultsArbitrary,
      fc.constantFrom(1, 8, 64),
      clustersArbitrary,
      async (seed, faults, inFlight, revisions) => {
        const { outcomes, model } = await run(seed, faults, inFlight, revisions);
        expect(model.violations).toEqual([]);
        expect(wrongOutcomes(outcomes, model.data)).toEqual([]);
      },
    ),
    { numRuns: 150 },
  );
});

it("without faults everything is acknowledged", async () => {
  const faults = { rate: 0, leaderChange: 0.05, expiry: 0 };
  const { outcomes } = await run(7, faults, 64, [2, 2, 2]);
  const acknowledged = outcomes.filter(({ result }) => result === "acknowledged");
  // One in ten is aborted at a random moment.
  expect(acknowledged.length).toBeGreaterThanOrEqual(appendCount * 0.9);
});
