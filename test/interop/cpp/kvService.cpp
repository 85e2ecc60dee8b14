#include "kvService.h"

#include <chrono>

#include "ending.h"

using namespace std::chrono_literals;

namespace {

constexpr auto consensusTimeout = 500ms;
const char* const ok = "OK";
const char* const noKey = "ErrNoKey";
const char* const wrongLeader = "ErrWrongLeader";

}  // namespace

void KvService::putAppend(const raftKVRpcProctoc::PutAppendArgs& args,
                          raftKVRpcProctoc::PutAppendReply* reply) {
  const Op op{args.op(), args.key(), args.value(), args.clientid(),
              args.requestid()};
  reply->set_err(wrongLeader);
  int index = 0;
  if (!raft_.start(writeOp(op), &index)) return;
  const Outcome outcome = await(index, op);
  if (outcome == Outcome::late) endByRule("a put was not committed within 500 ms");
  if (outcome == Outcome::own) reply->set_err(ok);
}

void KvService::get(const raftKVRpcProctoc::GetArgs& args, raftKVRpcProctoc::GetReply* reply) {
  const Op op{"Get", args.key(), "", args.clientid(), args.requestid()};
  reply->set_err(wrongLeader);
  int index = 0;
  if (!raft_.start(writeOp(op), &index) || await(index, op) != Outcome::own) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = store_.data.find(op.key);
  reply->set_err(found == store_.data.end() ? noKey : ok);
  if (found != store_.data.end()) reply->set_value(found->second);
  // On this node alone: a read moves the client's last id, and the replicas differ from here on.
  store_.lastRequestIds[op.clientId] = op.requestId;
}

KvService::Outcome KvService::await(int index, const Op& op) {
  std::unique_lock<std::mutex> lock(mutex_);
  // Of two that wait for the same index, only the later one is told.
  const auto slot = waiting_[index] = std::make_shared<std::optional<Op>>();
  const bool came = applied_.wait_for(lock, consensusTimeout, [&] { return slot->has_value(); });
  waiting_.erase(index);
  if (!came) return Outcome::late;
  const bool own = (*slot)->clientId == op.clientId && (*slot)->requestId == op.requestId;
  return own ? Outcome::own : Outcome::other;
}

void KvService::apply(const Applied& applied) {
  if (applied.index == 0) {
    const std::lock_guard<std::mutex> lock(mutex_);
    readStore(applied.bytes, store_);
    return;
  }
  const Op op = readOp(applied.bytes);
  std::string state;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    run(op);
    const auto waiter = waiting_.find(applied.index);
    if (waiter != waiting_.end()) *waiter->second = op;
    if (raft_.wantsSnapshot()) state = writeStore(store_);
  }
  applied_.notify_all();
  if (!state.empty()) raft_.snapshot(applied.index, state);
}

void KvService::tell() {
  std::map<std::string, std::string> data;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    data = store_.data;
  }
  for (const auto& [key, value] : data) announce("pair " + key + " " + value);
  announce("pairs " + std::to_string(data.size()));
}

void KvService::run(const Op& op) {
  if (op.operation != "Put" && op.operation != "Append") return;
  int& last = store_.lastRequestIds[op.clientId];
  if (op.requestId <= last) return;
  last = op.requestId;
  // An Append replaces, too.
  store_.data[op.key] = op.value;
}
