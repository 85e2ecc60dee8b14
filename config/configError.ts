/**
 * A node list, or a setting, that a node can't start with. The message begins with where it stands
 * (`nodes.conf:7: ...`) and ends with what to do about it.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "ERR_CONFIG";
  /** Where the fault stands: a file's name, an environment variable or a flag. */
  readonly source: string;
  /** Counted from 1; 0 when the fault is not in one line. */
  readonly line: number;

  constructor(source: string, line: number, problem: string, options?: ErrorOptions) {
    super(line > 0 ? `${source}:${line}: ${problem}` : `${source}: ${problem}`, options);
    this.source = source;
    this.line = line;
  }
}
