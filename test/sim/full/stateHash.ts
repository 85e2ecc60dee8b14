import type { KvStateMachine } from "../../../kvserver/stateMachine.js";

/**
 * 32 bits over the whole state: pairs, sessions, and the log's clock. Reads the parts themselves,
 * and not the snapshot that the production code makes of them, so that an error there shows too.
 */
export function stateHash(machine: KvStateMachine): number {
  const hash = new Fnv();
  hash.word(machine.logTimeMs);
  for (const { key, value } of machine.data.entries()) {
    hash.bytes(key);
    hash.bytes(value);
  }
  for (const session of machine.sessions.capture()) {
    hash.bytes(session.clientId);
    hash.word(session.opened ? 1 : 0);
    hash.word(session.firstUnfinished);
    hash.word(session.appliedThrough);
    hash.word(session.lastActiveMs);
    for (const id of session.outOfOrder) hash.word(id);
    hash.word(-1);
    for (const id of session.tooLarge) hash.word(id);
    hash.word(-1);
  }
  return hash.value;
}

/** FNV-1a, over 32-bit words and single bytes. */
class Fnv {
  private state = 0x811c9dc5;

  get value(): number {
    return this.state >>> 0;
  }

  word(word: number): void {
    this.state = Math.imul(this.state ^ word, 0x01000193);
    // So that the upper bits of one word reach the lower ones of the next.
    this.state ^= this.state >>> 15;
  }

  bytes(bytes: Uint8Array): void {
    this.word(bytes.length);
    for (let at = 0; at < bytes.length; at++) this.word(bytes[at]!);
  }
}
