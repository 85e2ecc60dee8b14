import { existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";
import { SchemaError, Source } from "./locate.js";

/** One .proto file, as it was found. */
export interface LoadedFile {
  /** As imports name it: what a descriptor calls the file. */
  readonly name: string;
  readonly source: Source;
  readonly packageName: string;
  readonly imports: readonly string[];
  readonly syntax: "proto2" | "proto3";
}

export interface Loaded {
  readonly root: protobuf.Root;
  /** By the path that `filename` of its objects holds; a file comes after those that it imports. */
  readonly files: ReadonlyMap<string, LoadedFile>;
}

/** Where protobufjs keeps Google's own files that it has no parsed form of. */
const protobufjsFolder = dirname(createRequire(import.meta.url).resolve("protobufjs/package.json"));

/**
 * Parses the files and all that they import: from `importPaths`, else from beside the importing
 * file, else from the working directory, else (`google/protobuf/...`) from protobufjs.
 * @throws SchemaError
 */
export function loadFiles(files: readonly string[], importPaths: readonly string[]): Loaded {
  const loader = new Loader(importPaths);
  for (const file of files) loader.loadMain(file);
  return { root: loader.root, files: loader.files };
}

class Loader {
  readonly root = new protobuf.Root();
  readonly files = new Map<string, LoadedFile>();
  readonly #importPaths: readonly string[];
  /** Real paths and names of bundled files, begun or done: an import is followed once. */
  readonly #seen = new Set<string>();

  constructor(importPaths: readonly string[]) {
    this.#importPaths = importPaths;
  }

  loadMain(file: string): void {
    const found = existsSync(file) ? file : this.#inImportPaths(file);
    if (found === null) throw new SchemaError(`${file}: no such file`);
    this.#load(found, this.#importName(found));
  }

  #load(path: string, name: string): void {
    const real = realpathSync(path);
    if (this.#seen.has(real)) return;
    this.#seen.add(real);
    const source = new Source(path, readText(path));
    const parsed = this.#parse(source);
    const imports = parsed.imports ?? [];
    for (const target of imports) this.#import(source, target);
    for (const target of parsed.weakImports ?? []) this.#import(source, target);
    this.files.set(path, {
      name,
      source,
      packageName: parsed.package ?? "",
      imports,
      syntax: /^\s*(?:syntax|edition)\s*=\s*["'](?:proto3|20\d\d)["']/m.test(source.text)
        ? "proto3"
        : "proto2",
    });
  }

  #parse(source: Source): protobuf.IParserResult {
    try {
      // The types leave it out: the name that parsed objects and errors get.
      Object.assign(protobuf.parse, { filename: source.file });
      const options = { keepCase: true, alternateCommentMode: true };
      return protobuf.parse(source.text, this.root, options);
    } catch (error) {
      throw source.parseError(error);
    }
  }

  #import(source: Source, target: string): void {
    const found = this.#find(source.file, target);
    if (found !== null) {
      this.#load(found, target);
      return;
    }
    const bundled = protobuf.common.get(target);
    if (bundled === null) {
      throw source.errorAt(source.importPosition(target), `import "${target}": no such file`);
    }
    if (this.#seen.has(target)) return;
    this.#seen.add(target);
    this.#addBundled(target, bundled);
  }

  /** Its objects are given the name of the file that they stand for. */
  #addBundled(name: string, bundled: protobuf.INamespace): void {
    this.root.addJSON(bundled.nested ?? {});
    const namespace = this.root.lookup("google.protobuf");
    if (!(namespace instanceof protobuf.Namespace)) return;
    for (const object of namespace.nestedArray) object.filename ??= name;
    this.files.set(name, {
      name,
      source: new Source(name, ""),
      packageName: "google.protobuf",
      imports: [],
      syntax: "proto3",
    });
  }

  #find(origin: string, target: string): string | null {
    const candidates = [
      ...this.#importPaths.map((path) => join(path, target)),
      join(dirname(origin), target),
      target,
    ];
    const found = candidates.find((candidate) => existsSync(candidate));
    if (found !== undefined) return found;
    const shipped = join(protobufjsFolder, target);
    const isShipped = protobuf.common.get(target) === null && target.startsWith("google/");
    return isShipped && existsSync(shipped) ? shipped : null;
  }

  #inImportPaths(file: string): string | null {
    const candidates = this.#importPaths.map((path) => join(path, file));
    return candidates.find((candidate) => existsSync(candidate)) ?? null;
  }

  /** A main file's name as an import would give it: below an import path, if it lies there. */
  #importName(path: string): string {
    const real = realpathSync(path);
    for (const folder of this.#importPaths) {
      if (!existsSync(folder)) continue;
      const prefix = `${realpathSync(folder)}/`;
      if (real.startsWith(prefix)) return real.slice(prefix.length);
    }
    return path.replace(/^(?:\.?\.?\/)+/, "");
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SchemaError(`${path}: ${why}`, { cause: error });
  }
}
