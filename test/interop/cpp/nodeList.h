#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct NodeAddress {
  std::string ip;
  uint16_t port;
};

/** The nodes of a list, from 0 until the first gap; ends the process when there is none. */
std::vector<NodeAddress> readNodeList(const std::string& path);
