#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

// What the original keeps as boost text archives. A reader that throws ends the process, as there.

/** A log entry's Command. */
struct Op {
  std::string operation;
  std::string key;
  std::string value;
  std::string clientId;
  int requestId = 0;
};

std::string writeOp(const Op& op);
Op readOp(const std::string& archive);

/** The state of the store. */
struct Store {
  std::map<std::string, std::string> data;
  std::unordered_map<std::string, int> lastRequestIds;
};

std::string writeStore(const Store& store);
/** Restores each key as its own value, and keeps what was there, as the original does. */
void readStore(const std::string& archive, Store& store);

/** What the original writes to its state file; only its length matters here. */
struct RaftState {
  int term = 0;
  int votedFor = -1;
  int snapshotIndex = 0;
  int snapshotTerm = 0;
  std::vector<std::string> entries;
};

std::string writeRaftState(const RaftState& state);
