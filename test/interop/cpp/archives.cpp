#include "archives.h"

#include <iostream>
#include <string>

#include "archive.h"

namespace {

std::string fromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::string toHex(const std::string& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(digits[byte >> 4]);
    hex.push_back(digits[byte & 15]);
  }
  return hex;
}

}  // namespace

void runArchives() {
  for (std::string line; std::getline(std::cin, line);) {
    const Op op = readOp(fromHex(line));
    std::cout << toHex(op.operation) << ',' << toHex(op.key) << ',' << toHex(op.value) << ','
              << toHex(op.clientId) << ',' << op.requestId << ',' << toHex(writeOp(op)) << '\n';
  }
}
