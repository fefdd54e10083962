#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>

/// The call throws std::invalid_argument, and the message names the argument: "emend: <argument>: expected .., got ..".
inline void check_throws_naming(const std::function<void()>& call, const std::string& argument, const char* file,
                                int line) {
  std::string message = "nothing was thrown";
  try {
    call();
  } catch (const std::invalid_argument& error) {
    message = error.what();
  }
  const bool is_named =
      message.find("emend: " + argument + ": expected ") == 0 && message.find(", got ") != std::string::npos;
  if (!is_named) ADD_FAIL_CHECK_AT(file, line, "no message about ", argument, ": ", message);
}
#define CHECK_THROWS_NAMING(statement, argument) \
  check_throws_naming([&] { static_cast<void>(statement); }, argument, __FILE__, __LINE__)
