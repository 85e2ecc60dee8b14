import { format, resolveConfig } from "prettier";
import type { Mutant } from "./mutant.js";
import { mutants } from "./mutants.js";
import type { SuiteResult } from "./runSuite.js";
import { suiteNames, type SuiteName } from "./suites.js";

export interface Outcome {
  /** Null: the suite did not come to an end. */
  readonly result: SuiteResult | null;
  readonly seconds: number;
}

export interface Verdict {
  readonly mutant: Mutant;
  readonly outcomes: Readonly<Record<SuiteName, Outcome>>;
}

export const documentFile = "docs/mutants.md";

/** Characters of a failure's message that the table has room for. */
const messageMax = 110;

const introduction = `# Mutants

\`npm run mutate -- --write\` wrote this page. It breaks the source in each of these ways, one at a
time, and runs three suites over it until something fails; a mutant that none of them notices fails
the run. The sources on the disk stay as they are: a mutant is made as its file is loaded. That each
of them still fits the source is a test of its own (\`test/mutants/anchors.test.ts\`).

- **Seeds**: simulated clusters under random faults, every invariant checked after every step; what
  is named is the first violation, with its seed. Cores alone (\`test/sim/core.test.ts\`), or whole
  servers with Clerks where the mutant is outside of the core (\`test/sim/full/full.test.ts\`).
- **Scenarios**: the labs of MIT 6.5840 (\`test/sim/labs\`), and for the core
  \`test/sim/scenarios.test.ts\`.
- **Rules**: paper tests and interaction scripts, or the tests of the server's parts.

The times are those until the first failure, the start of the test runner included, on a machine
that had other work to do. A dash is a suite that passed: many a rule is about who leads, and for how
long, which no invariant can tell.
`;

/** Whether `outcome` tells that something is wrong. */
function isCaught({ result }: Outcome): boolean {
  return result === null || result.failure !== null;
}

export function survivorsOf(verdicts: readonly Verdict[]): string[] {
  return verdicts
    .filter(({ outcomes }) => !suiteNames.some((suite) => isCaught(outcomes[suite])))
    .map(({ mutant }) => mutant.name);
}

function seconds(outcome: Outcome): string {
  return `${outcome.seconds.toFixed(1)} s`;
}

/** What stopped the mutant, for a cell of a table. */
function cell(suite: SuiteName, outcome: Outcome): string {
  const { result } = outcome;
  if (result === null) return `no end within ${seconds(outcome)}`;
  if (result.failure === null) return nothing;
  const { test, message } = result.failure;
  const told = suite === "seeds" ? withoutEvent(message) : (test.split(":")[0] ?? test);
  return `${shortened(told).replaceAll("|", "\\|")} (${seconds(outcome)})`;
}

/** "seed 3, event 5261, 1234.567 ms: what" without the event. */
function withoutEvent(message: string): string {
  return message.replace(/, event \d+, [\d.]+ ms/, "");
}

function shortened(text: string): string {
  return text.length <= messageMax ? text : `${text.slice(0, messageMax)}...`;
}

/** One row of the table: the mutant, what is wrong, and a cell for each suite. */
type Row = readonly string[];

const nothing = "-";

function rowOf({ mutant, outcomes }: Verdict): Row {
  const cells = suiteNames.map((suite) => cell(suite, outcomes[suite]));
  return [mutant.name, mutant.breaks, ...cells];
}

/** The rows of a page, by their mutants. */
function rowsIn(page: string): Map<string, Row> {
  const rows = page
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((text) => text.trim()),
    );
  return new Map(rows.map((row) => [row[0]!, row]));
}

export function lineOf(verdict: Verdict): string {
  const [name, , ...cells] = rowOf(verdict);
  return [name, ...suiteNames.map((suite, at) => `    ${suite}: ${cells[at]}`)].join("\n");
}

function summaryOf(rows: readonly Row[]): string {
  const caught = suiteNames.map((suite, at) => {
    const count = rows.filter((row) => row[2 + at] !== nothing).length;
    return `${count} by ${suite}`;
  });
  const survivors = rows.filter((row) => row.slice(2).every((text) => text === nothing));
  const rest =
    survivors.length === 0
      ? "none survives"
      : `surviving: ${survivors.map(([name]) => name).join(", ")}`;
  return `${rows.length} mutants are noticed ${caught.join(", ")}; ${rest}.`;
}

function tableOf(rows: readonly Row[]): string {
  const head = [["Mutant", "What is wrong", "Seeds", "Scenarios", "Rules"], Array(5).fill("---")];
  return [...head, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

export function reportOf(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(rowOf);
  return `${tableOf(rows)}\n\n${summaryOf(rows)}`;
}

/** `page` with the rows of `verdicts` renewed, laid out as the linter wants it. */
export async function renewed(page: string, verdicts: readonly Verdict[]): Promise<string> {
  const rows = rowsIn(page);
  for (const verdict of verdicts) rows.set(verdict.mutant.name, rowOf(verdict));
  const known = mutants.flatMap(({ name, breaks }) => {
    const row = rows.get(name);
    return row === undefined ? [] : [[name, breaks, ...row.slice(2)]];
  });
  const text = `${introduction}\n${summaryOf(known)}\n\n${tableOf(known)}\n`;
  return format(text, { ...(await resolveConfig(documentFile)), parser: "markdown" });
}
