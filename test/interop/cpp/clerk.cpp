#include "clerk.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <vector>

#include "channel.h"
#include "ending.h"
#include "kvServerRPC.pb.h"

namespace {

/** All of the original's clerks have it: its generator is never seeded. */
const char* const sharedClientId = "171463691516816927778469308861804289383";

/** Tries one node after the other for ever, without a pause. */
class Clerk {
 public:
  explicit Clerk(const std::vector<NodeAddress>& nodes) {
    for (const NodeAddress& node : nodes) nodes_.push_back(std::make_unique<Channel>(node));
  }

  void putAppend(const std::string& op, const std::string& key, const std::string& value) {
    raftKVRpcProctoc::PutAppendArgs args;
    args.set_key(key);
    args.set_value(value);
    args.set_op(op);
    args.set_clientid(sharedClientId);
    args.set_requestid(++requestId_);
    raftKVRpcProctoc::PutAppendReply reply;
    do {
      reply.Clear();
      if (!nodes_[node_]->call("kvServerRpc", "PutAppend", args, &reply)) reply.set_err("failed");
    } while (!settled(reply.err()));
  }

  /** A missing key reads as an empty value. */
  std::string get(const std::string& key) {
    raftKVRpcProctoc::GetArgs args;
    args.set_key(key);
    args.set_clientid(sharedClientId);
    args.set_requestid(++requestId_);
    raftKVRpcProctoc::GetReply reply;
    do {
      reply.Clear();
      if (!nodes_[node_]->call("kvServerRpc", "Get", args, &reply)) reply.set_err("failed");
    } while (!settled(reply.err()));
    return reply.value();
  }

  int requestId() const { return requestId_; }

 private:
  /** An answer that it does not know, such as an empty one, sends it to the same node again. */
  bool settled(const std::string& err) {
    if (err == "OK" || err == "ErrNoKey") return true;
    if (err == "failed" || err == "ErrWrongLeader") node_ = (node_ + 1) % nodes_.size();
    return false;
  }

  std::vector<std::unique_ptr<Channel>> nodes_;
  size_t node_ = 0;
  int requestId_ = 0;
};

std::string perform(Clerk& clerk, const std::string& line) {
  std::istringstream words(line);
  std::string op, key, value;
  words >> op >> key >> value;
  if (op == "put") clerk.putAppend("Put", key, value);
  else if (op == "append") clerk.putAppend("Append", key, value);
  else if (op == "get") return " " + clerk.get(key);
  else endByRule("no operation: " + line);
  return "";
}

}  // namespace

void runClerk(const std::string& listPath) {
  announceSigpipe();
  Clerk clerk(readNodeList(listPath));
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string value = perform(clerk, line);
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - begin;
    std::printf("%d %.2f%s\n", clerk.requestId(), took.count(), value.c_str());
    std::fflush(stdout);
  }
}
