#pragma once

#include <string>

/**
 * Runs the script on stdin, a line an operation: `put KEY VALUE`, `append KEY VALUE`, `get KEY`.
 * Prints for each its request id, how many milliseconds it took, and the value of a get.
 */
void runClerk(const std::string& listPath);
