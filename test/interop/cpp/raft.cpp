#include "raft.h"

#include <cstdio>
#include <thread>

#include "archive.h"
#include "ending.h"

using namespace std::chrono_literals;

void announce(const std::string& event) {
  std::printf("%s\n", event.c_str());
  std::fflush(stdout);
}

void Raft::init(std::vector<std::unique_ptr<Channel>> peers,
                std::function<void(const Applied&)> apply) {
  const std::lock_guard<std::mutex> lock(mutex_);
  peers_ = std::move(peers);
  apply_ = std::move(apply);
  ready_ = true;
  resetElectionTimer();
  std::thread([this] { electionLoop(); }).detach();
  std::thread([this] { heartbeatLoop(); }).detach();
  std::thread([this] { applyLoop(); }).detach();
}

bool Raft::start(const std::string& command, int* index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (role_ != Role::leader) return false;
  *index = log_.lastIndex() + 1;
  log_.push({command, term_, *index});
  persist();
  return true;
}

bool Raft::wantsSnapshot() {
  const std::lock_guard<std::mutex> lock(mutex_);
  // A tenth of what was asked for.
  return maxState_ >= 0 && stateBytes_ > static_cast<size_t>(maxState_) / 10;
}

void Raft::snapshot(int index, const std::string& state) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (index <= log_.snapshotIndex() || index > commitIndex_) return;
  log_.cut(index, log_.termAt(index));
  // It reads the file up to the first blank, and a second time nothing.
  snapshotFile_ = state.substr(0, state.find(' '));
  stateBytes_ = 0;
  announce("snapshot " + std::to_string(index));
}

void Raft::needInit(const char* method) const {
  if (!ready_) endByRule(std::string("a Raft request before it is ready: ") + method);
}

void Raft::becomeFollower(int term) {
  if (role_ != Role::follower) announce("follower " + std::to_string(term));
  role_ = Role::follower;
  if (term > term_) votedFor_ = -1;
  term_ = term;
  persist();
}

void Raft::resetElectionTimer() {
  std::uniform_int_distribution<int> timeoutMs(300, 500);
  electionAt_ = Clock::now() + std::chrono::milliseconds(timeoutMs(random_));
}

void Raft::persist() {
  if (maxState_ < 0) return;
  RaftState state{term_, votedFor_, log_.snapshotIndex(), log_.snapshotTerm(), {}};
  for (const Entry& entry : log_.entries()) {
    raftRpcProctoc::LogEntry message;
    message.set_command(entry.command);
    message.set_logterm(entry.term);
    message.set_logindex(entry.index);
    state.entries.push_back(message.SerializeAsString());
  }
  stateBytes_ = writeRaftState(state).size();
}

void Raft::applyLoop() {
  for (;; std::this_thread::sleep_for(10ms)) {
    std::vector<Applied> due;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      due.swap(snapshotsToApply_);
      while (lastApplied_ < commitIndex_)
        due.push_back({++lastApplied_, log_.at(lastApplied_).command});
    }
    for (const Applied& one : due) apply_(one);
  }
}
