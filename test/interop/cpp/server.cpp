#include "server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ending.h"

namespace {

/** The most that the original's buffer takes in one read. */
constexpr size_t readBytesMax = 66'560;
constexpr int readers = 4;

/** One thread and its share of the connections. */
class Reader {
 public:
  explicit Reader(const Handler& handler) : handler_(handler) {
    if (pipe2(wake_, O_CLOEXEC) != 0) endByRule("no pipe");
    polled_.push_back({wake_[0], POLLIN, 0});
    std::thread([this] { run(); }).detach();
  }

  void add(int connection) {
    [[maybe_unused]] const ssize_t written = write(wake_[1], &connection, sizeof connection);
  }

 private:
  void run() {
    for (;;) {
      if (poll(polled_.data(), polled_.size(), -1) < 0) continue;
      for (size_t i = polled_.size(); i-- > 1;) {
        if (polled_[i].revents == 0 || readOnce(polled_[i].fd)) continue;
        close(polled_[i].fd);
        polled_.erase(polled_.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if (polled_[0].revents != 0) takeNew();
    }
  }

  void takeNew() {
    int connection = -1;
    if (read(wake_[0], &connection, sizeof connection) == sizeof connection)
      polled_.push_back({connection, POLLIN, 0});
  }

  /** False: the connection has ended. */
  bool readOnce(int connection) {
    const ssize_t size = recv(connection, buffer_.data(), buffer_.size(), 0);
    if (size <= 0) return false;
    const auto request = firstRequest(buffer_.data(), static_cast<size_t>(size));
    if (!request) return true;
    const std::string reply = handler_(*request);
    if (!reply.empty()) send(connection, reply.data(), reply.size(), MSG_NOSIGNAL);
    return true;
  }

  const Handler& handler_;
  int wake_[2] = {-1, -1};
  std::vector<pollfd> polled_;
  std::vector<char> buffer_ = std::vector<char>(readBytesMax);
};

int listenOn(const std::string& ip, uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = inet_addr(ip.c_str());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (bind(listener, generic, sizeof address) != 0 || listen(listener, SOMAXCONN) != 0)
    endByRule("can't listen on " + ip + ":" + std::to_string(port) + ": " + std::strerror(errno));
  return listener;
}

}  // namespace

void serve(const std::string& ip, uint16_t port, const Handler& handler) {
  const int listener = listenOn(ip, port);
  std::array<std::unique_ptr<Reader>, readers> threads;
  for (auto& thread : threads) thread = std::make_unique<Reader>(handler);
  for (size_t next = 0;; next = (next + 1) % readers) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    threads[next]->add(connection);
  }
}
