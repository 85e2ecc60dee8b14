#include <unistd.h>

#include <iostream>
#include <stdexcept>
#include <string>

#include "archives.h"
#include "clerk.h"
#include "node.h"

namespace {

const char* const usage =
    "peer node -i ID -f NODES [-l MS] [-p MS] [-s BYTES]\n"
    "    -l  until the list is read (6000), -p  then for each node from this to the last (1000)\n"
    "    -s  Raft state of which a tenth makes a snapshot (500); -1: never\n"
    "peer clerk -f NODES    operations on stdin: put KEY VALUE, append KEY VALUE, get KEY\n"
    "peer archives          archives of ops on stdin, in hex, a line each\n";

/** False: wrong usage. */
bool readOptions(int argc, char** argv, NodeOptions& options) {
  for (int flag; (flag = getopt(argc, argv, "i:f:l:p:s:")) != -1;) {
    if (flag == '?') return false;
    if (flag == 'f') options.listPath = optarg;
    else if (flag == 'i') options.id = std::stoul(optarg);
    else if (flag == 'l') options.listDelay = std::chrono::milliseconds(std::stoi(optarg));
    else if (flag == 'p') options.peerDelay = std::chrono::milliseconds(std::stoi(optarg));
    else if (flag == 's') options.maxState = std::stoi(optarg);
  }
  return !options.listPath.empty();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  NodeOptions options;
  if (command == "archives") return runArchives(), 0;
  if (argc > 1 && readOptions(argc - 1, argv + 1, options)) {
    if (command == "node") return runNode(options), 0;
    if (command == "clerk") return runClerk(options.listPath), 0;
  }
  std::cerr << usage;
  return 2;
}
