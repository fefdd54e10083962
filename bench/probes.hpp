#pragma once

#include <emend/core/matrix.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <limits>

namespace bench {

/// Whether `seconds` counts this process's work instead of the time that passes: on a busy machine.
inline bool counts_processor_time = false;

/// Size of a block that comes from memory: well beyond the last cache, which would keep half of a block twice its size.
inline constexpr std::size_t memory_bytes = std::size_t{256} << 20;

/// Seconds that f() takes.
template <class F>
double seconds(F&& f) {
  if (counts_processor_time) {
    const std::clock_t begin = std::clock();
    f();
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  }
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The best of several timings: what the machine does when nothing disturbs it.
class best_time {
 public:
  template <class F>
  double take(F&& f) {
    const double t = seconds(f);
    best_ = std::min(best_, t);
    return t;
  }
  double best() const { return best_; }

 private:
  double best_ = std::numeric_limits<double>::infinity();
};

/// One stream of reads over a buffer, as fast as one thread reads: 32 bytes at a time where the processor has them.
void read_probe(const void* data, std::size_t bytes);

/// A copy with the fastest stores there are: past the cache where the processor can.
void copy_probe(void* to, const void* from, std::size_t bytes);

/// Multiplies and adds floats in registers, as fast as one thread can; returns how many pairs, 0 where the processor
/// has no such instruction.
double multiply_add_probe();

/// Scores as a language model's: independent, in [-8, 8), the same for any type.
template <class T>
emend::matrix<T> random_scores(emend::index rows, emend::index vocab) {
  emend::matrix<T> scores(rows, vocab);
  std::uint32_t state = 1;
  for (emend::index i = 0; i < rows * vocab; ++i) {
    state = state * 1664525u + 1013904223u;
    scores.data()[i] = T((static_cast<float>(state >> 8) / 16777216.0f - 0.5f) * 16.0f);
  }
  return scores;
}

}  // namespace bench
