#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "archive.h"
#include "kvServerRPC.pb.h"
#include "raft.h"

/** The original's store: puts and gets both go through the log, and wait 500 ms at most. */
class KvService {
 public:
  explicit KvService(Raft& raft) : raft_(raft) {}

  void putAppend(const raftKVRpcProctoc::PutAppendArgs& args,
                 raftKVRpcProctoc::PutAppendReply* reply);
  void get(const raftKVRpcProctoc::GetArgs& args, raftKVRpcProctoc::GetReply* reply);
  void apply(const Applied& applied);
  /** Prints all that the store holds, for tests: a line a pair, and then how many. */
  void tell();

 private:
  enum class Outcome { own, other, late };

  /** What came of an entry that was proposed; the waiter is registered only after it. */
  Outcome await(int index, const Op& op);
  void run(const Op& op);

  Raft& raft_;
  std::mutex mutex_;
  std::condition_variable applied_;
  /** By index: what was applied there, while somebody waits for it. */
  std::map<int, std::shared_ptr<std::optional<Op>>> waiting_;
  Store store_;
};
