#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

namespace common {

/// Checks that say nothing in --help, whose lines are long enough.
template <class N>
CLI::Validator in_range(N low, N high) {
  return CLI::Range(low, high).description("");
}
inline CLI::Validator above_zero() { return CLI::Validator(CLI::PositiveNumber).description(""); }

/// A word of a list, which becomes the number of an enumerator.
inline CLI::Validator one_of(const std::map<std::string, int>& words) {
  const auto translate = [words](std::string& word) {
    const auto found = words.find(word);
    if (found != words.end()) {
      word = std::to_string(found->second);
      return std::string();
    }
    std::string message = "'" + word + "' is none of";
    for (const auto& [known, number] : words) message += " " + known;
    return message;
  };
  return CLI::Validator(translate, "");
}

}  // namespace common
