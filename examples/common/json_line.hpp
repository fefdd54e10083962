#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

namespace common {

/// A JSON value, or a discarded one if the text is none or is nested deeper than 64 levels: copies and comparisons of
/// values take the stack for each level.
inline nlohmann::json parse_json(std::string_view text) {
  struct too_deep {};
  const auto watch = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) -> bool {
    if (depth > 64) throw too_deep();
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch, false);
  } catch (const too_deep&) {
    return nlohmann::json(nlohmann::json::value_t::discarded);
  }
}

}  // namespace common
