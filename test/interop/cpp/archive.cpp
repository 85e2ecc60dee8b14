#include "archive.h"

#include <boost/archive/text_iarchive.hpp>
#include <boost/archive/text_oarchive.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/unordered_map.hpp>
#include <boost/serialization/vector.hpp>
#include <exception>
#include <sstream>

#include "ending.h"

namespace {

/** The store as the original nests it: one archive in another. */
struct StoreArchive {
  std::string data;
  std::unordered_map<std::string, int> lastRequestIds;
};

struct DataArchive {
  std::vector<std::string> keys;
  std::vector<std::string> values;
};

}  // namespace

namespace boost::serialization {

template <class Archive>
void serialize(Archive& archive, Op& op, unsigned int) {
  archive & op.operation & op.key & op.value & op.clientId & op.requestId;
}

template <class Archive>
void serialize(Archive& archive, StoreArchive& store, unsigned int) {
  archive & store.data & store.lastRequestIds;
}

template <class Archive>
void serialize(Archive& archive, DataArchive& data, unsigned int) {
  archive & data.keys & data.values;
}

template <class Archive>
void serialize(Archive& archive, RaftState& state, unsigned int) {
  archive & state.term & state.votedFor & state.snapshotIndex & state.snapshotTerm & state.entries;
}

}  // namespace boost::serialization

namespace {

template <class T>
std::string write(const T& value) {
  std::ostringstream stream;
  boost::archive::text_oarchive archive(stream);
  archive << value;
  // Before the archive ends: no newline is at the end then.
  return stream.str();
}

template <class T>
T read(const std::string& text, const char* what) {
  T value;
  try {
    std::istringstream stream(text);
    boost::archive::text_iarchive archive(stream);
    archive >> value;
  } catch (const std::exception& error) {
    abortByRule(std::string("no archive of ") + what + ": " + error.what());
  }
  return value;
}

}  // namespace

std::string writeOp(const Op& op) { return write(op); }

Op readOp(const std::string& archive) { return read<Op>(archive, "an op"); }

std::string writeStore(const Store& store) {
  DataArchive data;
  for (const auto& [key, value] : store.data) {
    data.keys.push_back(key);
    data.values.push_back(value);
  }
  return write(StoreArchive{write(data), store.lastRequestIds});
}

void readStore(const std::string& archive, Store& store) {
  const auto outer = read<StoreArchive>(archive, "a snapshot");
  const auto data = read<DataArchive>(outer.data, "a snapshot's data");
  for (const std::string& key : data.keys) store.data[key] = key;
  store.lastRequestIds = outer.lastRequestIds;
}

std::string writeRaftState(const RaftState& state) { return write(state); }
