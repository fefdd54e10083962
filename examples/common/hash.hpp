#pragma once

#include <cstdint>
#include <string_view>

namespace common {

/// A hash of text that is the same everywhere (FNV-1a).
inline std::uint64_t hash_of(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325u) {
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace common
