import protobuf from "protobufjs";

/** What is wrong with the input, said for the one who wrote it: `file:line: what`. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

/** The text of a .proto file, in which protobufjs's findings are given their line again. */
export class Source {
  readonly file: string;
  readonly text: string;
  /** The text with every comment blanked: what is found in it is a declaration. */
  readonly #code: string;

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    this.#code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"/g, (match) =>
      match.startsWith('"') ? match : match.replaceAll(/[^\n]/g, " "),
    );
  }

  /** An error at the position; without a line when the position is unknown. */
  errorAt(position: number, text: string, cause?: unknown): SchemaError {
    const line = position < 0 ? "" : `:${this.#code.slice(0, position).split("\n").length}`;
    return new SchemaError(`${this.file}${line}: ${text}`, { cause });
  }

  importPosition(target: string): number {
    return this.#search(new RegExp(`"${escapeRegExp(target)}"`), 0);
  }

  /** Where a declaration begins: searched from where that of its parent does. */
  positionOf(object: protobuf.ReflectionObject): number {
    const { parent } = object;
    const inside = parent instanceof protobuf.Type || parent instanceof protobuf.Service;
    const start = inside ? this.positionOf(parent) : 0;
    return start < 0 ? start : this.#search(declarationOf(object), start);
  }

  /** What the parser refused: its own line where it names one, else that of the name or number. */
  parseError(error: unknown): SchemaError {
    const text = error instanceof Error ? error.message : String(error);
    const located = /^(.*) \((?:.*, )?line (\d+)\)$/s.exec(text);
    if (located !== null) {
      return new SchemaError(`${this.file}:${located[2]}: ${located[1]}`, { cause: error });
    }
    return this.errorAt(this.#positionOfFault(text), text, error);
  }

  /** `duplicate name 'x' in Type M` means the second x after M, other faults the first. */
  #positionOfFault(text: string): number {
    const fault = /(?:name '([^']+)'|id (\d+)) .*in \w+ (\w+)$/.exec(text);
    if (fault === null) return -1;
    const [, name, id, parent] = fault;
    const pattern =
      name === undefined
        ? new RegExp(`=\\s*${id!}\\b`, "g")
        : new RegExp(`\\b${escapeRegExp(name)}\\s*[={(]`, "g");
    const start = Math.max(0, this.#search(new RegExp(`\\b(?:message|enum)\\s+${parent!}\\b`), 0));
    const found = [...this.#code.slice(start).matchAll(pattern)].map(({ index }) => start + index);
    return (text.startsWith("duplicate") ? found[1] : undefined) ?? found[0] ?? -1;
  }

  #search(pattern: RegExp, start: number): number {
    const index = this.#code.slice(start).search(pattern);
    return index < 0 ? -1 : start + index;
  }
}

function declarationOf(object: protobuf.ReflectionObject): RegExp {
  const name = escapeRegExp(object.name);
  if (object instanceof protobuf.Field) return new RegExp(`\\b${name}\\s*=\\s*${object.id}\\b`);
  return new RegExp(`\\b(?:message|enum|service|rpc|oneof|group)\\s+${name}\\b`);
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
