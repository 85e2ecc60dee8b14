#include <algorithm>
#include <string>

#include "ending.h"
#include "raft.h"

// What a node answers: Raft's three requests.

namespace {

constexpr int appNormal = 1;
constexpr int staleTerm = -100;

// VoteState
constexpr int refused = 1;
constexpr int expired = 2;
constexpr int granted = 3;

}  // namespace

void Raft::appendEntries(const raftRpcProctoc::AppendEntriesArgs& args,
                         raftRpcProctoc::AppendEntriesReply* reply) {
  const std::lock_guard<std::mutex> lock(mutex_);
  needInit("AppendEntries");
  const int term = args.term();
  const int prevIndex = args.prevlogindex();
  reply->set_appstate(appNormal);
  reply->set_success(false);
  if (term < term_) {
    reply->set_term(term_);
    reply->set_updatenextindex(staleTerm);
    return;
  }
  if (term > term_ || role_ != Role::follower) becomeFollower(term);
  resetElectionTimer();
  reply->set_term(term_);
  if (prevIndex > log_.lastIndex()) {
    reply->set_updatenextindex(log_.lastIndex() + 1);
    return;
  }
  // Ends the process when the snapshot covers it.
  if (log_.termAt(prevIndex) != args.prevlogterm()) {
    reply->set_updatenextindex(firstOfConflict(prevIndex));
    return;
  }
  for (const auto& entry : args.entries()) take(entry);
  persist();
  const int leaderCommit = args.leadercommit();
  if (leaderCommit > commitIndex_) commitIndex_ = std::min(leaderCommit, log_.lastIndex());
  reply->set_success(true);
}

int Raft::firstOfConflict(int prevIndex) const {
  int index = prevIndex;
  while (index >= log_.snapshotIndex() && log_.termAt(index) == log_.termAt(prevIndex)) index--;
  // All the same down to the snapshot: what it began with.
  return index < log_.snapshotIndex() ? prevIndex : index + 1;
}

void Raft::take(const raftRpcProctoc::LogEntry& entry) {
  const int index = entry.logindex();
  const int term = entry.logterm();
  if (index > log_.lastIndex() + 1)
    endByRule("entry " + std::to_string(index) + " leaves a gap in the log");
  if (index == log_.lastIndex() + 1) {
    log_.push({entry.command(), term, index});
    return;
  }
  const Entry& present = log_.at(index);
  if (present.term != term)
    log_.overwrite({entry.command(), term, index});
  else if (present.command != entry.command())
    endByRule("entry " + std::to_string(index) + " of term " + std::to_string(term) +
              " came again with another command");
}

void Raft::requestVote(const raftRpcProctoc::RequestVoteArgs& args,
                       raftRpcProctoc::RequestVoteReply* reply) {
  const std::lock_guard<std::mutex> lock(mutex_);
  needInit("RequestVote");
  const int term = args.term();
  reply->set_votegranted(false);
  if (term < term_) {
    reply->set_term(term_);
    reply->set_votestate(expired);
    return;
  }
  if (term > term_) becomeFollower(term);
  reply->set_term(term_);
  const int lastTerm = args.lastlogterm();
  const bool upToDate =
      lastTerm > log_.lastTerm() ||
      (lastTerm == log_.lastTerm() && args.lastlogindex() >= log_.lastIndex());
  if (!upToDate || (votedFor_ != -1 && votedFor_ != args.candidateid())) {
    reply->set_votestate(refused);
    return;
  }
  votedFor_ = args.candidateid();
  persist();
  resetElectionTimer();
  reply->set_votegranted(true);
  reply->set_votestate(granted);
}

void Raft::installSnapshot(const raftRpcProctoc::InstallSnapshotRequest& args,
                           raftRpcProctoc::InstallSnapshotResponse* reply) {
  const std::lock_guard<std::mutex> lock(mutex_);
  needInit("InstallSnapshot");
  const int term = args.term();
  const int index = args.lastsnapshotincludeindex();
  if (term >= term_) {
    if (term > term_ || role_ != Role::follower) becomeFollower(term);
    resetElectionTimer();
    if (index <= log_.snapshotIndex()) return;
    log_.cut(index, args.lastsnapshotincludeterm());
    commitIndex_ = std::max(commitIndex_, index);
    lastApplied_ = std::max(lastApplied_, index);
    if (!args.data().empty()) snapshotsToApply_.push_back({0, args.data()});
    persist();
  }
  reply->set_term(term_);
}
