import type { Reply } from "../../../raft/core/index.js";
import type {
  AppendEntries,
  AppendEntriesReply,
  RequestVote,
  TimeoutNow,
} from "../../../raft/core/types.js";
import { fromVoteArgs, fromVoteReply } from "../../../raft/raftMethods.js";
import type { RaftPeer } from "../../../raft/raftPeer.js";
import type { MethodDescriptor } from "../../../rpc/service.js";

type Request = AppendEntries | RequestVote | TimeoutNow;

/** Tells of every request of the core's before `peer` sends it. */
export function watchRequest(peer: RaftPeer, leaves: (request: Request) => void): RaftPeer {
  return {
    AppendEntries: (request, done) => {
      leaves(request);
      peer.AppendEntries(request, done);
    },
    RequestVote: (request, done) => {
      leaves(request);
      peer.RequestVote(request, done);
    },
    TimeoutNow: (request, done) => {
      leaves(request);
      peer.TimeoutNow(request, done);
    },
    InstallSnapshot: (request, done) => peer.InstallSnapshot(request, done),
    get onDown() {
      return peer.onDown;
    },
    set onDown(handler) {
      peer.onDown = handler;
    },
    close: () => peer.close(),
  };
}

/** Tells of a reply in the core's terms, if its method is one of the core's. */
export function watchReply(
  { name }: MethodDescriptor,
  request: unknown,
  reply: unknown,
  leaves: (request: Request, reply: Reply) => void,
): void {
  if (name === "AppendEntries") leaves(request as AppendEntries, reply as AppendEntriesReply);
  if (name === "RequestVote")
    leaves(
      fromVoteArgs(request as Parameters<typeof fromVoteArgs>[0]),
      fromVoteReply(reply as Parameters<typeof fromVoteReply>[0]),
    );
}
