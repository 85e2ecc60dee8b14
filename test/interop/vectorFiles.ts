import { readFileSync } from "node:fs";
import path from "node:path";

/** What was recorded of the original's nodes and of its own encoders, in `vectors/`. */

export const vectorsDir = path.join(import.meta.dirname, "vectors");

export function vectors<Vector>(name: string): Vector[] {
  const content = readFileSync(path.join(vectorsDir, `${name}.json`), "utf8");
  const file: { vectors: Vector[] } = JSON.parse(content);
  return file.vectors;
}

export const fromHex = (hex: string): Buffer => Buffer.from(hex, "hex");
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
