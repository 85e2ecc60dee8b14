import type {
  Entry,
  OutgoingRequest,
  Ready,
  Reply,
  RequestVote,
  SnapshotMeta,
} from "../../../raft/core/index.js";

/** How scripts name what goes into a core and comes out of it. */

export function place({ index, term }: { readonly index: number; readonly term: number }): string {
  return `${index}/${term}`;
}

export function entriesText(entries: readonly Entry[]): string {
  return entries.map((entry) => place(entry) + commandText(entry)).join(" ");
}

function commandText({ command }: Entry): string {
  return command.length === 0 ? "" : `:${new TextDecoder().decode(command)}`;
}

export function requestText(out: OutgoingRequest): string {
  const { request } = out;
  if (request.type === "RequestVote") return voteText(request);
  if (request.type === "TimeoutNow") return `TimeoutNow term ${request.term}`;
  const { term, prevLogIndex, prevLogTerm, entries, leaderCommit } = request;
  const after = place({ index: prevLogIndex, term: prevLogTerm });
  const what = entries.length === 0 ? "" : ` [${entriesText(entries)}]`;
  const round =
    "context" in out && out.context.readRound > 0 ? ` round ${out.context.readRound}` : "";
  return `AppendEntries term ${term} after ${after}${what} commit ${leaderCommit}${round}`;
}

function voteText({ preVote, term, lastLogIndex, lastLogTerm, leadershipTransfer }: RequestVote) {
  const last = place({ index: lastLogIndex, term: lastLogTerm });
  const transfer = leadershipTransfer ? " for a transfer" : "";
  return `${preVote ? "PreVote" : "RequestVote"} term ${term} last ${last}${transfer}`;
}

export function replyText(reply: Reply): string {
  const { type, term } = reply;
  if (type === "TimeoutNowReply") return `${type} term ${term}`;
  if (type === "RequestVoteReply")
    return `${type} term ${term} ${reply.voteGranted ? "granted" : "refused"}`;
  const hint = reply.updateNextIndex > 0 ? `, next ${reply.updateNextIndex}` : "";
  return `${type} term ${term} ${reply.success ? "taken" : `refused${hint}`}`;
}

export function snapshotText(term: number, meta: SnapshotMeta): string {
  return `InstallSnapshot term ${term} at ${place(meta)}`;
}

/** What a node does by itself with its output; messages are named apart. */
export function readyText(id: number, ready: Ready, appliedBefore: number): string[] {
  const lines: string[] = [];
  const { softState, hardState, entries, saveId, snapshot, commitIndex, reads, readsLost } = ready;
  if (softState !== null) {
    const leader = softState.leader === -1 ? "none" : softState.leader;
    lines.push(`${id} is ${softState.role}, term ${softState.term}, leader ${leader}`);
  }
  if (saveId !== 0) {
    const parts: string[] = [];
    if (snapshot !== null) parts.push(`log reset to ${place(snapshot)}`);
    if (hardState !== null) {
      const vote = hardState.votedFor === -1 ? "none" : hardState.votedFor;
      parts.push(`term ${hardState.term} vote ${vote}`);
    }
    if (entries.length > 0) parts.push(entriesText(entries));
    lines.push(`${id} save ${saveId}: ${parts.join(", ")}`);
  }
  if (commitIndex > appliedBefore) lines.push(`${id} commits ${commitIndex}`);
  for (const { round, index } of reads)
    lines.push(`${id} serves reads of round ${round} at ${index}`);
  if (readsLost) lines.push(`${id} gives up its reads`);
  return lines;
}
