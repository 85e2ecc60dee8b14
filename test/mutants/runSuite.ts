/**
 * Runs one suite over one mutant, until the first failure, and sends what came of it to the parent
 * process. The mutant's sources are changed on their way from the disk into the test, and nowhere
 * else.
 *
 *     node runSuite.js LAYER SUITE [NAME]
 */
import { relative } from "node:path";
import { startVitest, type TestCase, type Vitest } from "vitest/node";
import { applyEdit, type Edit } from "./mutant.js";
import { mutants } from "./mutants.js";
import { filesOf, type SuiteName } from "./suites.js";
import type { Mutant } from "./mutant.js";

/** A busy machine must not look like a failure; what never ends is stopped by the parent. */
const testMsMax = 600_000;

export interface SuiteResult {
  /** Null: all tests passed. */
  readonly failure: { readonly test: string; readonly message: string } | null;
  readonly tests: number;
}

function mutation(edits: readonly Edit[]): {
  name: string;
  enforce: "pre";
  transform: (code: string, id: string) => string | undefined;
} {
  return {
    name: "mutation",
    enforce: "pre",
    transform(code, id) {
      const file = relative(process.cwd(), id.split("?")[0]!);
      const here = edits.filter((edit) => edit.file === file);
      return here.length === 0 ? undefined : here.reduce(applyEdit, code);
    },
  };
}

function resultOf(vitest: Vitest): SuiteResult {
  let tests = 0;
  let failed: TestCase | undefined;
  for (const module of vitest.state.getTestModules()) {
    for (const error of module.errors())
      return broken(module.relativeModuleId, error.message, tests);
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed" || state === "failed") tests++;
      if (state === "failed") failed ??= test;
    }
  }
  if (failed !== undefined)
    return broken(failed.name, failed.result().errors?.[0]?.message ?? "", tests);
  const [unhandled] = vitest.state.getUnhandledErrors();
  if (unhandled !== undefined) return broken("unhandled", (unhandled as Error).message, tests);
  return { failure: null, tests };
}

function broken(test: string, message: string, tests: number): SuiteResult {
  return { failure: { test, message: message.split("\n")[0]! }, tests };
}

async function main(): Promise<void> {
  const [layer, suite, name] = process.argv.slice(2);
  const mutant = mutants.find((each) => each.name === name);
  const files = filesOf(layer as Mutant["layer"], suite as SuiteName);
  const vitest = await startVitest(
    "test",
    files,
    {
      watch: false,
      bail: 1,
      // Threads end with this process, even one that never comes back from a test.
      pool: "threads",
      maxWorkers: 1,
      testTimeout: testMsMax,
      reporters: [{}],
    },
    { plugins: [mutation(mutant?.edits ?? [])] },
  );
  const result = resultOf(vitest);
  await vitest.close();
  process.send!(result, () => process.exit(0));
}

await main();
