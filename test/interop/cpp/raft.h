#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "channel.h"
#include "raftLog.h"
#include "raftRPC.pb.h"

using Clock = std::chrono::steady_clock;

/** What the log brings: a command at its index, or, with index 0, a snapshot. */
struct Applied {
  int index;
  std::string bytes;
};

/**
 * The original's Raft, with its faults: no PreVote, no no-op, overwriting of entries, commits by
 * counting the answers to one round, everything from nextIndex each time. Nothing is kept on disk,
 * for the original empties its files when it starts.
 */
class Raft {
 public:
  /** `maxState`: bytes of state of which a tenth makes a snapshot; -1: never. */
  Raft(int me, int maxState) : me_(me), maxState_(maxState) {}

  /** From here on it takes part; `apply` is called in order, by one thread. */
  void init(std::vector<std::unique_ptr<Channel>> peers, std::function<void(const Applied&)> apply);

  // A request before `init` ends the process.
  void appendEntries(const raftRpcProctoc::AppendEntriesArgs& args,
                     raftRpcProctoc::AppendEntriesReply* reply);
  void requestVote(const raftRpcProctoc::RequestVoteArgs& args,
                   raftRpcProctoc::RequestVoteReply* reply);
  /** Leaves the reply empty, so that nothing is sent, when the snapshot is outdated. */
  void installSnapshot(const raftRpcProctoc::InstallSnapshotRequest& args,
                       raftRpcProctoc::InstallSnapshotResponse* reply);

  /** Appends as the leader; false when this node does not lead. */
  bool start(const std::string& command, int* index);

  bool wantsSnapshot();
  /** The state machine's whole state as of `index`. */
  void snapshot(int index, const std::string& state);

 private:
  enum class Role { follower, candidate, leader };

  void needInit(const char* method) const;
  void becomeFollower(int term);
  void resetElectionTimer();
  void persist();
  size_t majority() const { return peers_.size() / 2 + 1; }

  int firstOfConflict(int prevIndex) const;
  void take(const raftRpcProctoc::LogEntry& entry);

  void electionLoop();
  void campaign();
  void askForVote(size_t peer, raftRpcProctoc::RequestVoteArgs args, std::shared_ptr<size_t> votes);
  void lead();

  void heartbeatLoop();
  void sendRound();
  void sendEntries(size_t peer, std::shared_ptr<size_t> answers);
  void onEntriesAnswered(size_t peer, const raftRpcProctoc::AppendEntriesArgs& args,
                         const raftRpcProctoc::AppendEntriesReply& reply,
                         const std::shared_ptr<size_t>& answers);
  void sendSnapshot(size_t peer);

  void applyLoop();

  const int me_;
  const int maxState_;
  std::mutex mutex_;
  /** One each node; null at our own place. */
  std::vector<std::unique_ptr<Channel>> peers_;
  std::function<void(const Applied&)> apply_;
  bool ready_ = false;
  Role role_ = Role::follower;
  int term_ = 0;
  int votedFor_ = -1;
  RaftLog log_;
  int commitIndex_ = 0;
  int lastApplied_ = 0;
  std::vector<int> nextIndex_;
  std::vector<int> matchIndex_;
  Clock::time_point electionAt_;
  std::mt19937 random_{std::random_device{}()};
  size_t stateBytes_ = 0;
  std::vector<Applied> snapshotsToApply_;
  /** What reading the snapshot file gives: its first word once, then nothing. */
  std::string snapshotFile_;
};

/** For tests that read along. */
void announce(const std::string& event);
