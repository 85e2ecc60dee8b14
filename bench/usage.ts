interface Helpful {
  readonly values: { readonly help?: boolean | undefined };
}

/** What `parse` makes of the command line; where that is a request for help, or wrong, the run ends. */
export function orUsage<T extends Helpful>(help: string, parse: () => T): T["values"] {
  try {
    const { values } = parse();
    if (values.help !== true) return values;
    console.log(help);
    return process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${help}`);
    return process.exit(2);
  }
}
