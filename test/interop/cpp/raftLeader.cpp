#include <algorithm>
#include <string>
#include <thread>

#include "ending.h"
#include "raft.h"

// What a node asks of the others: votes, and as leader everything from nextIndex in each round.

using namespace std::chrono_literals;

namespace {

constexpr auto heartbeat = 25ms;
constexpr auto electionCheck = 5ms;
constexpr int staleTerm = -100;

}  // namespace

void Raft::electionLoop() {
  for (;; std::this_thread::sleep_for(electionCheck)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (role_ != Role::leader && Clock::now() >= electionAt_) campaign();
  }
}

void Raft::campaign() {
  role_ = Role::candidate;
  term_++;
  votedFor_ = me_;
  persist();
  resetElectionTimer();
  announce("candidate " + std::to_string(term_));
  raftRpcProctoc::RequestVoteArgs args;
  args.set_term(term_);
  args.set_candidateid(me_);
  args.set_lastlogindex(log_.lastIndex());
  args.set_lastlogterm(log_.lastTerm());
  auto votes = std::make_shared<size_t>(1);
  for (size_t peer = 0; peer < peers_.size(); peer++) {
    if (peers_[peer] == nullptr) continue;
    std::thread([=] { askForVote(peer, args, votes); }).detach();
  }
}

void Raft::askForVote(size_t peer, raftRpcProctoc::RequestVoteArgs args,
                      std::shared_ptr<size_t> votes) {
  raftRpcProctoc::RequestVoteReply reply;
  if (!peers_[peer]->call("raftRpc", "RequestVote", args, &reply)) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (reply.term() > term_) return becomeFollower(reply.term());
  if (reply.term() < term_ || !reply.votegranted()) return;
  if (role_ == Role::candidate && ++*votes >= majority()) lead();
}

void Raft::lead() {
  role_ = Role::leader;
  announce("leader " + std::to_string(term_));
  nextIndex_.assign(peers_.size(), log_.lastIndex() + 1);
  matchIndex_.assign(peers_.size(), 0);
  sendRound();
}

void Raft::heartbeatLoop() {
  for (auto next = Clock::now();; std::this_thread::sleep_until(next += heartbeat)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (role_ == Role::leader) sendRound();
  }
}

void Raft::sendRound() {
  auto answers = std::make_shared<size_t>(1);
  for (size_t peer = 0; peer < peers_.size(); peer++) {
    if (peers_[peer] == nullptr) continue;
    if (nextIndex_[peer] <= log_.snapshotIndex())
      sendSnapshot(peer);
    else
      sendEntries(peer, answers);
  }
}

void Raft::sendEntries(size_t peer, std::shared_ptr<size_t> answers) {
  raftRpcProctoc::AppendEntriesArgs args;
  args.set_term(term_);
  args.set_leaderid(me_);
  const int prevIndex = nextIndex_[peer] - 1;
  args.set_prevlogindex(prevIndex);
  args.set_prevlogterm(log_.termAt(prevIndex));
  for (int index = prevIndex + 1; index <= log_.lastIndex(); index++) {
    auto* entry = args.add_entries();
    entry->set_command(log_.at(index).command);
    entry->set_logterm(log_.at(index).term);
    entry->set_logindex(index);
  }
  args.set_leadercommit(commitIndex_);
  std::thread([this, peer, answers = std::move(answers), args = std::move(args)] {
    raftRpcProctoc::AppendEntriesReply reply;
    if (!peers_[peer]->call("raftRpc", "AppendEntries", args, &reply)) return;
    onEntriesAnswered(peer, args, reply, answers);
  }).detach();
}

void Raft::onEntriesAnswered(size_t peer, const raftRpcProctoc::AppendEntriesArgs& args,
                             const raftRpcProctoc::AppendEntriesReply& reply,
                             const std::shared_ptr<size_t>& answers) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // A closed connection reads as 0, a node that was killed says so: neither counts.
  if (reply.appstate() == 0) return;
  if (reply.term() > term_) return becomeFollower(reply.term());
  if (reply.term() < term_ || role_ != Role::leader) return;
  if (!reply.success()) {
    const int next = reply.updatenextindex();
    if (next == staleTerm) return;
    if (next < 1 || next > log_.lastIndex() + 1)
      endByRule("UpdateNextIndex " + std::to_string(next) + " with a last index of " +
                std::to_string(log_.lastIndex()));
    nextIndex_[peer] = next;
    return;
  }
  const int last = args.prevlogindex() + args.entries_size();
  matchIndex_[peer] = std::max(matchIndex_[peer], last);
  nextIndex_[peer] = matchIndex_[peer] + 1;
  // Answers to this one round are counted, not match indexes.
  if (++*answers < majority()) return;
  *answers = 0;
  if (args.entries_size() > 0 && args.entries(args.entries_size() - 1).logterm() == term_)
    commitIndex_ = std::max(commitIndex_, last);
}

void Raft::sendSnapshot(size_t peer) {
  raftRpcProctoc::InstallSnapshotRequest args;
  args.set_leaderid(me_);
  args.set_term(term_);
  args.set_lastsnapshotincludeindex(log_.snapshotIndex());
  args.set_lastsnapshotincludeterm(log_.snapshotTerm());
  args.set_data(snapshotFile_);
  snapshotFile_.clear();
  announce("sends a snapshot to " + std::to_string(peer));
  std::thread([this, peer, args] {
    raftRpcProctoc::InstallSnapshotResponse reply;
    if (!peers_[peer]->call("raftRpc", "InstallSnapshot", args, &reply)) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (reply.term() > term_) return becomeFollower(reply.term());
    if (role_ != Role::leader) return;
    // Any other answer counts as installed, that of a closed connection too.
    announce("installed " + std::to_string(args.lastsnapshotincludeindex()) + " at " +
             std::to_string(peer));
    matchIndex_[peer] = args.lastsnapshotincludeindex();
    nextIndex_[peer] = matchIndex_[peer] + 1;
  }).detach();
}
