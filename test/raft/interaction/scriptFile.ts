/**
 * The form of a script, after the data-driven tests of Go: comments with `#`, a command, a line of
 * dashes, and what the command printed, up to an empty line.
 */
export interface Step {
  /** Comments and empty lines in front of the command, as they stand. */
  readonly lead: readonly string[];
  readonly command: string;
  readonly line: number;
}

const dashes = "----";

export function parseScript(text: string): { readonly steps: Step[]; readonly tail: string[] } {
  const steps: Step[] = [];
  let lead: string[] = [];
  const lines = text.trimEnd().split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line === "" || line.startsWith("#")) {
      lead.push(line);
      continue;
    }
    steps.push({ lead, command: line, line: at + 1 });
    lead = [];
    if (lines[at + 1] !== dashes) continue;
    at++;
    while (at + 1 < lines.length && lines[at + 1] !== "") at++;
  }
  return { steps, tail: lead };
}

/** Runs each command and gives the script's text with what was printed this time. */
export function replay(text: string, run: (command: string) => readonly string[]): string {
  const { steps, tail } = parseScript(text);
  const out: string[] = [];
  for (const { lead, command, line } of steps) {
    out.push(...lead, command, dashes);
    try {
      const printed = run(command);
      out.push(...(printed.length === 0 ? ["(nothing)"] : printed));
    } catch (error) {
      throw new Error(`line ${line}, "${command}": ${(error as Error).message}`, { cause: error });
    }
  }
  return [...out, ...tail].join("\n") + "\n";
}
