import { freshBytes } from "./freshBytes.js";

/**
 * The text form of boost::serialization, as far as the original uses it: tokens with one blank
 * between them, and strings as their length in bytes, one separator and the raw bytes.
 *
 *     22 serialization::archive 18 0 0 3 Put 1 x 3 499 ...
 *     `------- signature ------´ |  | |
 *                          version  tracking and version of the first class
 */

/** "2": no protobuf message of ours begins with it. */
export const archiveFirstByte = 0x32;
/** The newest archive version that the original's reader takes. */
export const archiveVersionMax = 18;

const signature = new TextEncoder().encode("serialization::archive");

/** Bytes that are no archive, or none of what was expected. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  readonly code = "ERR_ARCHIVE";
}

/**
 * Reads token after token. It takes what the original's reader takes: any white space, any rubbish
 * at the end. A length is checked against what is there before anything is made of it.
 */
export class ArchiveReader {
  private readonly bytes: Uint8Array;
  private at = 0;

  /** @throws ArchiveError when `bytes` does not begin as an archive from `versionMin` on does. */
  constructor(bytes: Uint8Array, versionMin = 0) {
    this.bytes = bytes;
    if (Buffer.compare(this.string(), signature) !== 0) {
      throw new ArchiveError("not an archive: the signature is another one");
    }
    const version = this.integer(0, 65_535);
    if (version < versionMin || version > archiveVersionMax) {
      throw new ArchiveError(`archive version ${version} is not supported`);
    }
  }

  /** A decimal integer in [min, max]. */
  integer(min: number, max: number): number {
    this.skipBlanks();
    const negative = this.bytes[this.at] === minus;
    if (negative || this.bytes[this.at] === plus) this.at++;
    const magnitude = this.digits();
    const value = negative && magnitude > 0 ? -magnitude : magnitude;
    if (value < min || value > max) throw new ArchiveError(`${value} is out of range`);
    return value;
  }

  int32(): number {
    return this.integer(-(2 ** 31), 2 ** 31 - 1);
  }

  /** A view of the string's bytes. */
  string(): Uint8Array {
    const length = this.integer(0, Number.MAX_SAFE_INTEGER);
    // Whatever stands between length and content is one byte.
    const start = this.at + 1;
    if (length > this.bytes.length - start) throw new ArchiveError("a string is cut off");
    this.at = start + length;
    return this.bytes.subarray(start, this.at);
  }

  /** What stands in front of a class at its first occurrence: no tracking, version 0. */
  classInfo(): void {
    this.integer(0, 0);
    this.integer(0, 0);
  }

  /** The bytes that were not read. */
  rest(): Uint8Array {
    return this.bytes.subarray(this.at);
  }

  private digits(): number {
    const start = this.at;
    let value = 0;
    for (let digit = this.digit(); digit >= 0; digit = this.digit()) {
      value = value * 10 + digit;
      this.at++;
    }
    if (this.at === start) throw new ArchiveError("a number is missing");
    if (!Number.isSafeInteger(value)) throw new ArchiveError("a number is too large");
    return value;
  }

  private digit(): number {
    const byte = this.bytes[this.at] ?? 0;
    return byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : -1;
  }

  private skipBlanks(): void {
    while (isBlank(this.bytes[this.at])) this.at++;
  }
}

const minus = 0x2d;
const plus = 0x2b;

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

/** Writes token after token; the same calls give the original's bytes. */
export class ArchiveWriter {
  private readonly parts: Uint8Array[] = [];
  /** Tokens since the last string, which need no bytes of their own yet. */
  private text: string;

  /** @param version of the archive: the lowest one with the same grammar suits the most readers. */
  constructor(version: number) {
    this.text = `22 serialization::archive ${version}`;
  }

  integer(value: number): this {
    this.text += ` ${value}`;
    return this;
  }

  string(bytes: Uint8Array): this {
    this.parts.push(Buffer.from(`${this.text} ${bytes.length} `, "latin1"), bytes);
    this.text = "";
    return this;
  }

  classInfo(): this {
    return this.integer(0).integer(0);
  }

  /** Rubbish, to the original's reader. */
  trailer(text: string): this {
    this.text += text;
    return this;
  }

  finish(): Uint8Array {
    this.parts.push(Buffer.from(this.text, "latin1"));
    const length = this.parts.reduce((sum, part) => sum + part.length, 0);
    const archive = freshBytes(length);
    let at = 0;
    for (const part of this.parts) {
      archive.set(part, at);
      at += part.length;
    }
    return archive;
  }
}
