#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <mutex>
#include <string>

#include "nodeList.h"

/** A file descriptor that lives as long as anybody uses it. */
struct Socket {
  explicit Socket(int descriptor) : fd(descriptor) {}
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  const int fd;
};

/**
 * The original's client: one `send`, then one `recv` of 1,024 bytes, which is the reply, without a
 * time limit. Threads share the socket and may take each other's replies. A reset connection fails
 * the call and is made anew for the next one; one that the other side closed reads as an empty
 * reply, and stays.
 */
class Channel {
 public:
  explicit Channel(NodeAddress address) : address_(std::move(address)) {}

  /** False: it failed, and the call may or may not have been run. */
  bool call(const std::string& service, const std::string& method,
            const google::protobuf::Message& args, google::protobuf::Message* reply);

 private:
  std::shared_ptr<Socket> connected();
  void drop(const std::shared_ptr<Socket>& socket);

  const NodeAddress address_;
  std::mutex mutex_;
  std::shared_ptr<Socket> socket_;
};
