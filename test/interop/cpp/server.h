#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "wire.h"

/** The bytes of the reply; empty ones are not sent, so that the caller hears nothing. */
using Handler = std::function<std::string(const Request& request)>;

/**
 * Serves for ever. What one read brings is one request: a second one in it is lost, and so is one
 * that is not all there. A few threads share the connections, and a handler that waits keeps the
 * others of its thread waiting.
 */
void serve(const std::string& ip, uint16_t port, const Handler& handler);
