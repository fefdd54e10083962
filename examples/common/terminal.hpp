#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <emend/metrics/wilson.hpp>

namespace common {

enum class colour_choice { automatic, always, never };

/// Standard output: colours where they are wanted, and a line that is written over and over.
class terminal {
 public:
  explicit terminal(colour_choice choice) : is_terminal_(isatty(STDOUT_FILENO) == 1) {
    const char* no_color = std::getenv("NO_COLOR");
    const char* kind = std::getenv("TERM");
    const bool is_plain = (no_color && *no_color) || (kind && std::string(kind) == "dumb");
    has_colour_ = choice == colour_choice::always || (choice == colour_choice::automatic && is_terminal_ && !is_plain);
  }
  bool has_colour() const { return has_colour_; }

  std::string in(const std::string& code, const std::string& text) const {
    return has_colour_ ? "\x1b[" + code + "m" + text + "\x1b[0m" : text;
  }
  std::string strong(const std::string& text) const { return in("1", text); }
  std::string faint(const std::string& text) const { return in("2", text); }

  void line(const std::string& text = "") {
    end_progress();
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
  /// Shows how far the work is: over and over on one line of a terminal, else a plain line every 15 seconds.
  void progress(const std::string& text) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_progress_ < std::chrono::milliseconds(is_terminal_ ? 200 : 15000)) return;
    last_progress_ = now;
    std::printf(is_terminal_ ? "\r%s\x1b[K" : "%s\n", text.c_str());
    std::fflush(stdout);
    is_line_open_ = is_terminal_;
  }
  void end_progress() {
    if (is_line_open_) std::printf("\r\x1b[K");
    is_line_open_ = false;
  }

 private:
  bool is_terminal_, has_colour_ = false, is_line_open_ = false;
  std::chrono::steady_clock::time_point last_progress_ = std::chrono::steady_clock::now();
};

template <class... A>
std::string format(const char* pattern, A... values) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

inline std::string in_seconds(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  return format("%lld:%02lld", whole / 60, whole % 60);
}

inline std::string in_percent(const emend::share& s) {
  return format("%5.1f %%   (%.1f to %.1f)", 100 * s.value, 100 * s.low, 100 * s.high);
}

/// Number of terminal columns, counting a code point as one.
inline std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}
inline std::string padded_to(std::size_t width, const std::string& text) {
  return text + std::string(width > width_of(text) ? width - width_of(text) : 0, ' ');
}

}  // namespace common
