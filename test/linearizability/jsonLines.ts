/**
 * Histories in files: one JSON object a line, bytes in base64, times as numbers. A missing
 * `returnTime` is Infinity; a missing `output` of a get is a missing key.
 */
import type { Operation } from "./operation.js";
import { HistoryError, validateOperation } from "./operation.js";

/** One line for each operation, each with its line end. */
export function toJsonLines(operations: readonly Operation[]): string {
  return operations.map((operation) => `${JSON.stringify(toJson(operation))}\n`).join("");
}

/** @throws HistoryError with INVALID_FILE, and the number of the line. */
export function fromJsonLines(text: string): Operation[] {
  const operations: Operation[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "") continue;
    try {
      operations.push(fromJson(JSON.parse(line)));
    } catch (error) {
      throw new HistoryError("INVALID_FILE", `line ${index + 1}: ${String(error)}`, error);
    }
  }
  return operations;
}

/** The histories of several processes as one, by call time. Their clock must be the same. */
export function mergeHistories(...histories: readonly (readonly Operation[])[]): Operation[] {
  return histories.flat().sort((a, b) => a.callTime - b.callTime);
}

function toJson(operation: Operation): Record<string, unknown> {
  const { client, kind, key, outcome, callTime, returnTime } = operation;
  const common = { client, kind, key: base64(key), outcome, callTime };
  // JSON has no Infinity, and `undefined` leaves a field out.
  const finite = Number.isFinite(returnTime) ? returnTime : undefined;
  if (operation.kind !== "get") {
    return { ...common, returnTime: finite, value: base64(operation.value) };
  }
  const output = operation.output && base64(operation.output);
  return { ...common, returnTime: finite, output };
}

function fromJson(json: unknown): Operation {
  if (typeof json !== "object" || json === null) throw new TypeError("no JSON object");
  const fields = new Map<string, unknown>(Object.entries(json));
  const text = (name: string): string => {
    const value: unknown = fields.get(name);
    if (typeof value === "string") return value;
    throw new TypeError(`${name} is no string`);
  };
  const time = (name: string): number => {
    const value = fields.get(name);
    if (typeof value === "number") return value;
    throw new TypeError(`${name} is no number`);
  };
  const bytes = (name: string): Uint8Array => Uint8Array.from(Buffer.from(text(name), "base64"));
  const common = {
    client: text("client"),
    key: bytes("key"),
    outcome: oneOf(text("outcome"), ["ok", "failed", "unknown"]),
    callTime: time("callTime"),
    returnTime: fields.has("returnTime") ? time("returnTime") : Infinity,
  };
  const kind = oneOf(text("kind"), ["put", "append", "get"]);
  const operation: Operation =
    kind === "get"
      ? { ...common, kind, output: fields.has("output") ? bytes("output") : undefined }
      : { ...common, kind, value: bytes("value") };
  validateOperation(operation);
  return operation;
}

function oneOf<const T extends string>(text: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === text);
  if (found === undefined) throw new TypeError(`${text} is none of ${allowed.join(", ")}`);
  return found;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}
