#pragma once

#include <cstddef>
#include <string_view>

namespace common {

/// Calls f(code point) for each character of UTF-8 text, up to the first byte that is no part of one: overlong forms,
/// surrogates and code points above 0x10ffff are none. Returns the place of that byte, or the text's size.
template <class F>
std::size_t for_each_point(std::string_view text, F&& f) {
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > text.size() - i) return i;
    char32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const unsigned char next = static_cast<unsigned char>(text[i + k]);
      if (next >> 6 != 2) return i;
      point = point << 6 | (next & 0x3fu);
    }
    constexpr char32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (point < smallest[length - 1] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return i;
    f(point);
    i += length;
  }
  return text.size();
}

/// The last place up to `end` where a character begins, or the text's size where `end` is not before it.
inline std::size_t character_border(std::string_view text, std::size_t end) {
  if (end >= text.size()) return text.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return end;
}

}  // namespace common
