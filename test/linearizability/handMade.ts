/** Short ways to write a history down, all on the key "k". */
import type { Operation } from "./operation.js";

export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

const key = bytes("k");

type Span = readonly [callTime: number, returnTime: number];

const answered = (client: string, [callTime, returnTime]: Span) =>
  ({ client, key, outcome: "ok", callTime, returnTime }) as const;

export function put(client: string, value: string, span: Span): Operation {
  return { ...answered(client, span), kind: "put", value: bytes(value) };
}

export function append(client: string, value: string, span: Span): Operation {
  return { ...answered(client, span), kind: "append", value: bytes(value) };
}

/** `output`: null for a missing key. */
export function get(client: string, output: string | null, span: Span): Operation {
  const found = output === null ? undefined : bytes(output);
  return { ...answered(client, span), kind: "get", output: found };
}

/** The same operation, whose client never learned what became of it. */
export function unknown(operation: Operation): Operation {
  return { ...operation, outcome: "unknown", returnTime: Infinity };
}

/** The same operation, which did not happen. */
export function failed(operation: Operation): Operation {
  return { ...operation, outcome: "failed" };
}

/** Each order of the appends gives another set of values on the way, and none the last one. */
export function hardHistory(clients: number): Operation[] {
  const appends = Array.from({ length: clients }, (_, at) =>
    append(`client ${at}`, "a".repeat(at + 1), [0, 9]),
  );
  const length = (clients * (clients + 1)) / 2;
  return [...appends, get("reader", "a".repeat(length - 1), [10, 11])];
}
