import type { KvStateMachine } from "../../../kvserver/stateMachine.js";
import { stateDigest } from "../../../kvserver/stateSnapshot.js";

/** 32 bits of the whole state's digest; -1 while a snapshot of it is being taken. */
export function stateHash(machine: KvStateMachine): number {
  try {
    return Number.parseInt(stateDigest(machine).slice(0, 8), 16);
  } catch {
    return -1;
  }
}
