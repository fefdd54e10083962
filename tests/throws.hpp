#pragma once

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

/// The statement throws std::invalid_argument, and the message names the argument: "emend: <argument>: expected .., got ..".
#define CHECK_THROWS_NAMING(statement, argument)                                              \
  do {                                                                                        \
    std::string message = "nothing was thrown";                                               \
    try {                                                                                     \
      static_cast<void>(statement);                                                           \
    } catch (const std::invalid_argument& error) {                                            \
      message = error.what();                                                                 \
    }                                                                                         \
    CHECK_MESSAGE(message.find("emend: " + std::string(argument) + ": expected ") == 0, message); \
    CHECK_MESSAGE(message.find(", got ") != std::string::npos, message);                      \
  } while (false)
