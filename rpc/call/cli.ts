/** mprpc-call: lists, describes and calls the services of a running server. */
import type protobuf from "protobufjs";
import { SchemaError } from "../gen/schema.js";
import {
  callServerStream,
  callUnary,
  MprpcChannel,
  MprpcController,
  RpcError,
  type ErrorDetail,
  type Metadata,
} from "../index.js";
import { readCommand, usage, UsageError, type Command } from "./arguments.js";
import { declarationOf, findDeclared, signaturesOf } from "./describe.js";
import { findMethod, findService, findType, jsonOf, splitPath } from "./dynamicMethod.js";
import { fromFiles, fromReflection, type SchemaSource } from "./schemas.js";

/** Added to the number of a status: other codes have meanings of their own. */
const statusExitCode = 64;

/** The command's standard streams. */
export interface Streams {
  /** Resolves when the text was taken, so that a slow reader slows a stream down. */
  stdout(text: string): Promise<void>;
  stderr(text: string): void;
  /** All of it; rejects beyond what a request may take. */
  stdin(): Promise<string>;
}

/** Runs the command; returns the exit code that the usage tells of. */
export async function runCall(args: readonly string[], streams: Streams): Promise<number> {
  try {
    const command = readCommand(args);
    if (command === "help") {
      await streams.stdout(usage);
      return 0;
    }
    return await new Run(command, streams).run();
  } catch (error) {
    return explain(error, streams);
  }
}

function explain(error: unknown, streams: Streams): number {
  if (error instanceof RpcError) {
    streams.stderr(`mprpc-call: ${error.code}: ${error.message}\n`);
    return statusExitCode + error.status;
  }
  streams.stderr(`mprpc-call: ${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof SchemaError) return 1;
  if (!(error instanceof UsageError)) throw error;
  streams.stderr(usage);
  return 2;
}

/** One command, over one connection. */
class Run {
  readonly #command: Command;
  readonly #streams: Streams;
  readonly #channel: MprpcChannel;

  constructor(command: Command, streams: Streams) {
    const { host, port, tls } = command;
    this.#command = command;
    this.#streams = streams;
    this.#channel = new MprpcChannel({ host, port, ...(tls === undefined ? {} : { tls }) });
  }

  async run(): Promise<number> {
    const { target, argument } = this.#command;
    try {
      if (target === "list") await this.#list(argument);
      else if (target === "describe") await this.#describe(argument);
      else return await this.#call(target, argument ?? "{}");
      return 0;
    } finally {
      this.#channel.close();
    }
  }

  get #schemas(): SchemaSource {
    const { files, importPaths, timeoutMs } = this.#command;
    if (files.length > 0) return fromFiles(files, importPaths);
    return fromReflection(this.#channel, timeoutMs);
  }

  async #list(name: string | undefined): Promise<void> {
    const schemas = this.#schemas;
    if (name === undefined) {
      for (const service of await schemas.list()) await this.#say(service);
      return;
    }
    const service = findService(await schemas.schemaOf(name), name);
    for (const line of signaturesOf(service)) await this.#say(line);
  }

  async #describe(name: string | undefined): Promise<void> {
    const schemas = this.#schemas;
    if (name === undefined) {
      for (const service of await schemas.list()) {
        await this.#say(declarationOf(findService(await schemas.schemaOf(service), service)));
      }
      return;
    }
    for (const service of await schemas.list()) {
      const found = findDeclared(await schemas.schemaOf(service), name);
      if (found !== null) return await this.#say(declarationOf(found));
    }
    throw new SchemaError(`no schema of the server declares ${name}`);
  }

  async #call(path: string, argument: string): Promise<number> {
    const root = await this.#schemas.schemaOf(splitPath(path).service);
    const method = findMethod(root, path);
    const request = parseJson(argument === "-" ? await this.#streams.stdin() : argument);
    const controller = new MprpcController(this.#command);
    try {
      if (method.kind === "server_stream") {
        const replies = callServerStream(this.#channel, method, request, controller);
        for await (const reply of replies) await this.#say(JSON.stringify(reply));
      } else {
        const reply = await callUnary(this.#channel, method, request, controller);
        await this.#say(JSON.stringify(reply));
      }
      return 0;
    } catch (error) {
      const code = explain(error, this.#streams);
      for (const detail of controller.details) this.#warn(`detail: ${textOf(root, detail)}`);
      return code;
    } finally {
      if (this.#command.verbose) this.#showMetadata(controller);
    }
  }

  #showMetadata({ replyMetadata, trailingMetadata }: MprpcController): void {
    const show = (kind: string, metadata: Metadata): void => {
      for (const { key, value } of metadata) this.#warn(`${kind}: ${key}=${quoted(value)}`);
    };
    show("metadata", replyMetadata);
    show("trailing metadata", trailingMetadata);
  }

  #say(line: string): Promise<void> {
    return this.#streams.stdout(`${line}\n`);
  }

  #warn(line: string): void {
    this.#streams.stderr(`mprpc-call: ${line}\n`);
  }
}

/** As JSON where the schema declares its type, else as base64. */
function textOf(root: protobuf.Root, { type, value }: ErrorDetail): string {
  const known = findType(root, type);
  try {
    if (known !== null) return `${type} ${JSON.stringify(jsonOf(known, value))}`;
  } catch {
    // It bears the name of a type that it is not: as one that nobody knows.
  }
  return `${type} ${JSON.stringify(Buffer.from(value).toString("base64"))}`;
}

/** Quoted, and control characters escaped: it goes to a terminal. */
function quoted(value: Uint8Array): string {
  return JSON.stringify(Buffer.from(value).toString());
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the request is no JSON: ${(error as Error).message}`);
  }
}
