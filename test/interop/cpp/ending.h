#pragma once

#include <string>

// Where the original's process ends, this one does too, and says on stderr by which rule: a test
// can then tell such an end from a crash of the peer itself.

/** Where a check of the original's fails: exit code 1. */
[[noreturn]] void endByRule(const std::string& rule);

/** Where the original has an exception that nobody catches: SIGABRT. */
[[noreturn]] void abortByRule(const std::string& rule);

/** SIGPIPE ends the process as ever, but not without a word. */
void announceSigpipe();
