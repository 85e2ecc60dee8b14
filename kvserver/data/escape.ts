/**
 * Bytes as a word: printable ASCII stands for itself, but for the backslash; every other byte, and
 * the blank, is \xNN. So words can be told apart by blanks, and each reads back as one byte array.
 */
export function escapeBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  return text.replaceAll(/[^\x21-\x5b\x5d-\x7e]/g, escapeOne);
}

function escapeOne(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
