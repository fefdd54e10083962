#pragma once

#include <cstdio>
#include <cstring>
#include <optional>

namespace common {

/// The exit status of an example without options, where it was given an argument: --help prints `what` it does, any
/// other one line of error. Empty: there was none, and the example runs.
inline std::optional<int> answer_arguments(int count, char** arguments, const char* what) {
  if (count < 2) return std::nullopt;
  if (std::strcmp(arguments[1], "--help") == 0 || std::strcmp(arguments[1], "-h") == 0) {
    std::printf("%s; no options.\n", what);
    return 0;
  }
  std::fprintf(stderr, "%s: no such option: %s; it has none but --help\n", arguments[0], arguments[1]);
  return 2;
}

}  // namespace common
