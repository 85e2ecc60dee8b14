import { raftRpcDescriptor, raftRpcMethods, type raftRpcProctoc } from "../proto/index.js";
import type { MethodDescriptor } from "../rpc/service.js";
import { withMethods } from "../rpc/withMethods.js";
import type {
  AppendEntries,
  AppendEntriesReply,
  RequestVote,
  RequestVoteReply,
} from "./core/types.js";
import { appendEntriesCodec, appendEntriesReplyCodec } from "./raftCodec.js";
import type { InstallSnapshot, InstallSnapshotReply } from "./raftPeer.js";

/** AppendEntries with the codecs of `raftCodec.ts`. */
export const appendEntriesMethod: MethodDescriptor<AppendEntries, AppendEntriesReply> = {
  ...raftRpcMethods.AppendEntries,
  request: appendEntriesCodec,
  response: appendEntriesReplyCodec,
};

type SnapshotResponse = raftRpcProctoc.InstallSnapshotResponse.$Properties;

/** Instead of a response: nothing that a reader of protobuf takes, so that its call fails. */
export const unreadableResponse: SnapshotResponse = {};
/** The tag of field 0, which there can't be. */
const unreadableByte = 0x07;

const { InstallSnapshot } = raftRpcMethods;

const installSnapshotMethod: typeof InstallSnapshot = {
  ...InstallSnapshot,
  response: {
    ...InstallSnapshot.response,
    encode(response, writer) {
      if (response === unreadableResponse) writer.uint32(unreadableByte);
      else InstallSnapshot.response.encode(response, writer);
    },
  },
};

export const raftService = withMethods(raftRpcDescriptor, [
  appendEntriesMethod,
  installSnapshotMethod,
]);

// --- between the wire's messages and the core's

type VoteArgs = raftRpcProctoc.RequestVoteArgs.$Properties;
type VoteReply = raftRpcProctoc.RequestVoteReply.$Properties;

export function toVoteArgs(request: RequestVote): VoteArgs {
  return {
    Term: request.term,
    CandidateId: request.from,
    LastLogIndex: request.lastLogIndex,
    LastLogTerm: request.lastLogTerm,
    PreVote: request.preVote,
    LeadershipTransfer: request.leadershipTransfer,
  };
}

export function fromVoteArgs(args: raftRpcProctoc.RequestVoteArgs): RequestVote {
  return {
    type: "RequestVote",
    term: args.Term,
    from: args.CandidateId,
    lastLogIndex: args.LastLogIndex,
    lastLogTerm: args.LastLogTerm,
    preVote: args.PreVote,
    leadershipTransfer: args.LeadershipTransfer,
  };
}

export function toVoteReply(reply: RequestVoteReply): VoteReply {
  return { Term: reply.term, VoteGranted: reply.voteGranted, VoteState: reply.voteState };
}

export function fromVoteReply(reply: raftRpcProctoc.RequestVoteReply): RequestVoteReply {
  return {
    type: "RequestVoteReply",
    term: reply.Term,
    voteGranted: reply.VoteGranted,
    voteState: reply.VoteState,
  };
}

export function toSnapshotRequest(
  request: InstallSnapshot,
): raftRpcProctoc.InstallSnapshotRequest.$Properties {
  return {
    LeaderId: request.from,
    Term: request.term,
    LastSnapShotIncludeIndex: request.lastIncludedIndex,
    LastSnapShotIncludeTerm: request.lastIncludedTerm,
    Data: request.data,
    Offset: request.offset,
    TotalSize: request.totalSize,
    Done: request.done,
    Chunked: true,
  };
}

export function fromSnapshotRequest(args: raftRpcProctoc.InstallSnapshotRequest): InstallSnapshot {
  return {
    term: args.Term,
    from: args.LeaderId,
    lastIncludedIndex: args.LastSnapShotIncludeIndex,
    lastIncludedTerm: args.LastSnapShotIncludeTerm,
    offset: args.Offset,
    totalSize: args.TotalSize,
    done: args.Done,
    data: args.Data,
  };
}

export function toSnapshotResponse(
  reply: InstallSnapshotReply,
): raftRpcProctoc.InstallSnapshotResponse.$Properties {
  return { Term: reply.term, Accepted: reply.accepted, NextOffset: reply.nextOffset };
}

export function fromSnapshotResponse(
  response: raftRpcProctoc.InstallSnapshotResponse,
): InstallSnapshotReply {
  return { term: response.Term, accepted: response.Accepted, nextOffset: response.NextOffset };
}
