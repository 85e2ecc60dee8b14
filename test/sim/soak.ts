import { expect, test } from "vitest";
import { CoreCluster } from "./coreCluster.js";

/** Seeds whose failures are printed in full; of further ones only the first line. */
const printedFailuresMax = 3;
const progressEvery = 500;

/** `SIM_SEED=n`, or `SIM_SEEDS=first..last`. */
function seedsAsked(): { first: number; last: number } {
  const { SIM_SEED, SIM_SEEDS = "1..1000" } = process.env;
  const [first = NaN, last = first] = (SIM_SEED ?? SIM_SEEDS).split("..").map(Number);
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first > last)
    throw new RangeError(`SIM_SEEDS is not first..last: ${SIM_SEEDS}`);
  return { first, last };
}

test("clusters of cores keep Raft's invariants and recover", () => {
  const { first, last } = seedsAsked();
  const failures: string[] = [];
  let [committed, reads, events] = [0, 0, 0];
  for (let seed = first; seed <= last; seed++) {
    try {
      const result = new CoreCluster(seed, {
        printTrace: process.env.SIM_SEED !== undefined,
      }).run();
      committed += result.committed;
      reads += result.readsConfirmed;
      events += result.events;
    } catch (error) {
      const { message } = error as Error;
      const isPrinted = failures.length < printedFailuresMax;
      failures.push(isPrinted ? message : message.slice(0, message.indexOf("\n")));
    }
    if ((seed - first + 1) % progressEvery === 0)
      console.log(`up to seed ${seed}: ${events} events, ${failures.length} failures`);
  }
  console.log(`${committed} entries committed, ${reads} reads confirmed, ${events} events`);
  expect(failures.join("\n\n"), `${failures.length} seeds failed`).toBe("");
});
