/**
 *     npm run mutate                        every mutant against every suite; 1 if one survives
 *     npm run mutate -- --only "vote twice"
 *     npm run mutate -- --layer storage
 *     npm run mutate -- --write             also renews the rows of docs/mutants.md
 */
import { fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Mutant } from "./mutant.js";
import { mutants } from "./mutants.js";
import {
  documentFile,
  lineOf,
  renewed,
  reportOf,
  survivorsOf,
  type Outcome,
  type Verdict,
} from "./report.js";
import type { SuiteResult } from "./runSuite.js";
import { suiteNames, type SuiteName } from "./suites.js";

/** Real time after which a suite that does not end is taken for one that never will. */
const suiteMsMax = 180_000;
const runner = new URL("./runSuite.js", import.meta.url);

/** One suite over one mutant, or over the source as it is. */
function run(layer: Mutant["layer"], suite: SuiteName, name?: string): Promise<Outcome> {
  const startedAt = performance.now();
  const child = fork(runner, [layer, suite, ...(name === undefined ? [] : [name])], {
    stdio: "ignore",
  });
  let result: SuiteResult | null = null;
  let isOverdue = false;
  const watchdog = setTimeout(() => {
    isOverdue = true;
    child.kill("SIGKILL");
  }, suiteMsMax);
  child.on("message", (message) => {
    result = message as SuiteResult;
  });
  return new Promise((resolve, reject) => {
    child.on("exit", (code) => {
      clearTimeout(watchdog);
      const seconds = (performance.now() - startedAt) / 1_000;
      if (result !== null || isOverdue) resolve({ result, seconds });
      else reject(new Error(`the runner of ${suite} ended with ${code} and told nothing`));
    });
  });
}

/** A suite that fails by itself kills nothing. */
async function mustBeGreen(chosen: readonly Mutant[]): Promise<void> {
  for (const layer of new Set(chosen.map((mutant) => mutant.layer))) {
    for (const suite of suiteNames) {
      const { result, seconds } = await run(layer, suite);
      const { failure, tests } = result ?? {
        failure: { test: "", message: "no result" },
        tests: 0,
      };
      if (failure !== null)
        throw new Error(
          `${suite} of the ${layer} fail unchanged: ${failure.test}: ${failure.message}`,
        );
      console.log(`${layer}, ${suite}: ${tests} tests pass unchanged in ${seconds.toFixed(1)} s`);
    }
  }
}

async function judge(mutant: Mutant): Promise<Verdict> {
  const outcomes = {} as Record<SuiteName, Outcome>;
  for (const suite of suiteNames) outcomes[suite] = await run(mutant.layer, suite, mutant.name);
  return { mutant, outcomes };
}

function chosenBy(name = "", layer?: string): Mutant[] {
  const chosen = mutants.filter(
    (mutant) => mutant.name.includes(name) && (layer ?? mutant.layer) === mutant.layer,
  );
  if (chosen.length === 0) throw new Error("there is no such mutant");
  return chosen;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      layer: { type: "string" },
      write: { type: "boolean", default: false },
    },
  });
  const chosen = chosenBy(values.only, values.layer);
  await mustBeGreen(chosen);
  const verdicts: Verdict[] = [];
  for (const mutant of chosen) {
    const verdict = await judge(mutant);
    verdicts.push(verdict);
    console.log(lineOf(verdict));
  }
  console.log(`\n${reportOf(verdicts)}`);
  if (values.write) {
    const page = readFileSync(documentFile, "utf8");
    writeFileSync(documentFile, await renewed(page, verdicts));
  }
  if (survivorsOf(verdicts).length > 0) process.exitCode = 1;
}

await main();
