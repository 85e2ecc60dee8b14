#pragma once

#include <chrono>
#include <string>

struct NodeOptions {
  size_t id = 0;
  std::string listPath;
  /** From the start until the list is read, and then for each node from this one to the last. */
  std::chrono::milliseconds listDelay{6'000};
  std::chrono::milliseconds peerDelay{1'000};
  /** Bytes of Raft's state of which a tenth makes a snapshot; -1: never. */
  int maxState = 500;
};

/** Serves at once, and is ready `listDelay + (n - id) * peerDelay` after its start. */
void runNode(const NodeOptions& options);
