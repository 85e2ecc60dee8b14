#pragma once

#include <string>
#include <vector>

struct Entry {
  std::string command;
  int term;
  int index;
};

/** Entries snapshotIndex + 1 to lastIndex. Asked for others, the original ends its process. */
class RaftLog {
 public:
  int lastIndex() const { return snapshotIndex_ + static_cast<int>(entries_.size()); }
  int lastTerm() const { return termAt(lastIndex()); }
  int snapshotIndex() const { return snapshotIndex_; }
  int snapshotTerm() const { return snapshotTerm_; }
  int termAt(int index) const;
  const Entry& at(int index) const;
  const std::vector<Entry>& entries() const { return entries_; }

  void push(Entry entry) { entries_.push_back(std::move(entry)); }
  /** An entry that is there in another term is overwritten, and those behind it stay. */
  void overwrite(Entry entry);
  /** Forgets what the snapshot holds; all of it, when the log does not reach that far. */
  void cut(int snapshotIndex, int snapshotTerm);

 private:
  void check(int index) const;

  int snapshotIndex_ = 0;
  int snapshotTerm_ = 0;
  std::vector<Entry> entries_;
};
