interface Helpful {
  readonly values: { readonly help?: boolean | undefined };
}

/** What `parse` makes of the command line; where that is a request for help, or wrong, the run ends. */
export function orUsage<T extends Helpful>(help: string, parse: () => T): T["values"] {
  try {
    const { values } = parse();
    if (values.help !== true) return values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${help}`);
    process.exit(2);
  }
  console.log(help);
  process.exit(0);
}
