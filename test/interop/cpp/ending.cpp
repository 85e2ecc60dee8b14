#include "ending.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

namespace {

void say(const std::string& rule) {
  const std::string line = "peer ended by rule: " + rule + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

void onSigpipe(int) {
  static const char line[] = "peer ended by rule: a send after the other side's FIN (SIGPIPE)\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
  // Its disposition is the default again; the signal is blocked until this handler returns.
  raise(SIGPIPE);
}

}  // namespace

void endByRule(const std::string& rule) {
  say(rule);
  // Other threads still use what destructors would take away.
  _exit(EXIT_FAILURE);
}

void abortByRule(const std::string& rule) {
  say(rule);
  std::abort();
}

void announceSigpipe() {
  struct sigaction action {};
  action.sa_handler = onSigpipe;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGPIPE, &action, nullptr);
}
