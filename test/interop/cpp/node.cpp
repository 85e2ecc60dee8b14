#include "node.h"

#include <csignal>
#include <memory>
#include <thread>

#include "ending.h"
#include "kvService.h"
#include "nodeList.h"
#include "server.h"

namespace {

/** Runs `handle` where the arguments parse; otherwise nothing is said. */
template <class Args, class Reply, class Handle>
std::string answer(const std::string& bytes, Handle handle) {
  Args args;
  Reply reply;
  if (!args.ParseFromString(bytes)) return "";
  handle(args, &reply);
  return reply.SerializeAsString();
}

std::string answerRaft(Raft& raft, const Request& request) {
  using namespace raftRpcProctoc;
  if (request.method == "AppendEntries")
    return answer<AppendEntriesArgs, AppendEntriesReply>(
        request.args, [&](auto& args, auto* reply) { raft.appendEntries(args, reply); });
  if (request.method == "RequestVote")
    return answer<RequestVoteArgs, RequestVoteReply>(
        request.args, [&](auto& args, auto* reply) { raft.requestVote(args, reply); });
  if (request.method == "InstallSnapshot")
    return answer<InstallSnapshotRequest, InstallSnapshotResponse>(
        request.args, [&](auto& args, auto* reply) { raft.installSnapshot(args, reply); });
  return "";
}

std::string answerKv(KvService& kv, const Request& request) {
  using namespace raftKVRpcProctoc;
  if (request.method == "PutAppend")
    return answer<PutAppendArgs, PutAppendReply>(
        request.args, [&](auto& args, auto* reply) { kv.putAppend(args, reply); });
  if (request.method == "Get")
    return answer<GetArgs, GetReply>(request.args,
                                     [&](auto& args, auto* reply) { kv.get(args, reply); });
  return "";
}

std::vector<std::unique_ptr<Channel>> connectPeers(const std::vector<NodeAddress>& nodes,
                                                   size_t me) {
  std::vector<std::unique_ptr<Channel>> peers;
  for (size_t id = 0; id < nodes.size(); id++)
    peers.push_back(id == me ? nullptr : std::make_unique<Channel>(nodes[id]));
  return peers;
}

}  // namespace

void runNode(const NodeOptions& options) {
  // Of all threads, this one alone is to hear that a test asks what the store holds.
  sigset_t asked;
  sigemptyset(&asked);
  sigaddset(&asked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &asked, nullptr);
  // A dead peer's socket does not end a node; that it ends a clerk is the clerk's own fault.
  std::signal(SIGPIPE, SIG_IGN);
  const auto own = readNodeList(options.listPath);
  if (options.id >= own.size()) endByRule("the list has no such node");
  Raft raft(static_cast<int>(options.id), options.maxState);
  KvService kv(raft);
  const Handler handler = [&](const Request& request) {
    if (request.service == "raftRpc") return answerRaft(raft, request);
    if (request.service == "kvServerRpc") return answerKv(kv, request);
    return std::string();
  };
  std::thread([&] { serve(own[options.id].ip, own[options.id].port, handler); }).detach();

  std::this_thread::sleep_for(options.listDelay);
  const auto nodes = readNodeList(options.listPath);
  std::this_thread::sleep_for(options.peerDelay * (nodes.size() - options.id));
  raft.init(connectPeers(nodes, options.id), [&](const Applied& applied) { kv.apply(applied); });
  announce("ready");
  for (int signal = 0; sigwait(&asked, &signal) == 0;) kv.tell();
}
