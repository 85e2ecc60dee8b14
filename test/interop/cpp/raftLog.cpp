#include "raftLog.h"

#include "ending.h"

int RaftLog::termAt(int index) const {
  check(index);
  return index == snapshotIndex_ ? snapshotTerm_ : at(index).term;
}

const Entry& RaftLog::at(int index) const {
  check(index);
  if (index == snapshotIndex_) endByRule("entry " + std::to_string(index) + " is in the snapshot");
  return entries_[static_cast<size_t>(index - snapshotIndex_ - 1)];
}

void RaftLog::overwrite(Entry entry) {
  check(entry.index);
  entries_.at(static_cast<size_t>(entry.index - snapshotIndex_ - 1)) = std::move(entry);
}

void RaftLog::cut(int snapshotIndex, int snapshotTerm) {
  const auto gone = std::min(entries_.size(), static_cast<size_t>(snapshotIndex - snapshotIndex_));
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(gone));
  snapshotIndex_ = snapshotIndex;
  snapshotTerm_ = snapshotTerm;
}

void RaftLog::check(int index) const {
  if (index >= snapshotIndex_ && index <= lastIndex()) return;
  endByRule("index " + std::to_string(index) + " is not in the log, which has " +
            std::to_string(snapshotIndex_) + " (snapshot) to " + std::to_string(lastIndex()));
}
