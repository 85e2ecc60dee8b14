#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>

// Revision 1 of the wire: varint32 header size, RpcHeader, arguments. A reply is the bare message.

struct Request {
  std::string service;
  std::string method;
  std::string args;
};

std::string requestFrame(const std::string& service, const std::string& method,
                         const google::protobuf::Message& args);

/** The first request of what one read brought; none when it is not all there, or no request. */
std::optional<Request> firstRequest(const char* data, size_t size);
