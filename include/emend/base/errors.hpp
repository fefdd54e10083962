#pragma once

#include <emend/base/index.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace emend::detail {

/// Throws std::invalid_argument: "emend: <argument>: expected <expected>, got <got>".
[[noreturn]] inline void fail(const char* argument, const std::string& expected, const std::string& got) {
  throw std::invalid_argument("emend: " + std::string(argument) + ": expected " + expected + ", got " + got);
}

/// A number as an error shows it: 1e-320, not 0.000000.
inline std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// Throws std::invalid_argument unless `got == expected`.
inline void require_length(const char* argument, index got, index expected) {
  if (got != expected) fail(argument, std::to_string(expected) + " entries", std::to_string(got));
}

/// Throws std::invalid_argument unless 0 <= `position` < `end`.
inline void require_position(const char* argument, index entry, index position, index end) {
  if (position < 0 || position >= end)
    fail(argument, "entry " + std::to_string(entry) + " in [0, " + std::to_string(end) + ")", std::to_string(position));
}

/// Throws std::invalid_argument unless 0 < `value` < infinity.
inline void require_positive(const char* argument, double value) {
  if (!(value > 0) || value > 1.7976931348623157e308) fail(argument, "a finite number above 0", text_of(value));
}

/// Throws std::invalid_argument unless 0 <= `value`.
inline void require_not_negative(const char* argument, double value) {
  if (!(value >= 0)) fail(argument, "a number not below 0", text_of(value));
}

/// Throws std::invalid_argument unless 0 < `value`; infinity is no bound.
inline void require_bound(const char* argument, double value) {
  if (!(value > 0)) fail(argument, "a number above 0, or infinity for none", text_of(value));
}

}  // namespace emend::detail
