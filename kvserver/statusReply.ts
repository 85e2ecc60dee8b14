import type { raftKVRpcProctoc } from "../proto/index.js";
import type { Persister } from "../raft/persister/persister.js";
import type { Raft } from "../raft/raft.js";
import type { AppliedState } from "./appliedState.js";
import { diskStatus } from "./diskRoom.js";

/** What a node tells of itself: the whole of `Status`. */
export function statusReply(
  raft: Raft,
  { machine, lastApplied }: AppliedState,
  persister: Persister | null,
  version: string,
): raftKVRpcProctoc.StatusReply.$Properties {
  const state = raft.status();
  return {
    NodeId: raft.id,
    Role: state.role,
    Term: state.term,
    LeaderHint: state.leader + 1,
    CommitIndex: state.commitIndex,
    LastApplied: lastApplied,
    LastLogIndex: state.lastLogIndex,
    SnapshotIndex: state.snapshotIndex,
    LogBytes: persister?.logBytes ?? 0,
    LogSyncs: persister?.logSyncs ?? 0,
    ...diskStatus(persister?.space),
    Keys: machine.keyCount,
    Sessions: machine.sessionCount,
    Version: version,
    ProcessId: process.pid,
    Peers: state.followers.map(({ id, matchIndex, nextIndex, state: progress, joining }) => ({
      NodeId: id,
      MatchIndex: matchIndex,
      NextIndex: nextIndex,
      State: joining ? "joining" : progress,
    })),
  };
}
