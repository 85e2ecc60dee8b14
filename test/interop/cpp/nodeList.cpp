#include "nodeList.h"

#include <fstream>
#include <map>

#include "ending.h"

namespace {

std::string trimmed(const std::string& text) {
  const char* blanks = " \t\r\n";
  const size_t first = text.find_first_not_of(blanks);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/** The first of a repeated key wins; unknown keys do no harm. */
std::map<std::string, std::string> readKeys(const std::string& path) {
  std::map<std::string, std::string> keys;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    line = line.substr(0, line.find('#'));
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    keys.emplace(trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
  }
  return keys;
}

}  // namespace

std::vector<NodeAddress> readNodeList(const std::string& path) {
  const auto keys = readKeys(path);
  std::vector<NodeAddress> nodes;
  for (;;) {
    const std::string node = "node" + std::to_string(nodes.size());
    const auto ip = keys.find(node + "ip");
    const auto port = keys.find(node + "port");
    if (ip == keys.end() || port == keys.end()) break;
    const int number = std::stoi(port->second);
    // The original's ports are signed: with a larger one it does not find the node.
    if (number > INT16_MAX) endByRule("port " + port->second + " has more than 15 bits");
    nodes.push_back({ip->second, static_cast<uint16_t>(number)});
  }
  if (nodes.empty()) endByRule("there is no node in " + path);
  return nodes;
}
