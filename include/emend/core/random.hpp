#pragma once

#include <emend/base/index.hpp>

namespace emend {

/// Random numbers that are a pure function of (seed, stream, counter): the same for any order of calls and any number
/// of threads.
///
///   bits(stream, counter)     64 uniform bits
///   uniform(stream, counter)  [0, 1), a multiple of 2^-53
///   below(n, stream, counter) uniform on {0, .., n-1}, n > 0; bias below n 2^-64
/// Typical use: `stream` names the purpose or the row, `counter` the step. Cost: one block of ten rounds a call.
/// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Philox 4x32-10.
struct counter_random {
  std::uint64_t seed = 0;

  struct block {
    std::uint32_t word[4];
  };

  /// The raw generator: ten rounds over a 128-bit counter with a 64-bit key.
  static constexpr block philox(block counter, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t first = std::uint64_t{0xD2511F53} * counter.word[0];
      const std::uint64_t second = std::uint64_t{0xCD9E8D57} * counter.word[2];
      counter = {{static_cast<std::uint32_t>(second >> 32) ^ counter.word[1] ^ key0, static_cast<std::uint32_t>(second),
                  static_cast<std::uint32_t>(first >> 32) ^ counter.word[3] ^ key1, static_cast<std::uint32_t>(first)}};
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    return counter;
  }

  constexpr std::uint64_t bits(std::uint64_t stream, std::uint64_t counter) const {
    const block b = philox({{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                             static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)}},
                           static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    return (std::uint64_t{b.word[1]} << 32) | b.word[0];
  }

  constexpr double uniform(std::uint64_t stream, std::uint64_t counter) const {
    return static_cast<double>(bits(stream, counter) >> 11) * 0x1p-53;
  }

  constexpr index below(index n, std::uint64_t stream, std::uint64_t counter) const {
    const std::uint64_t x = bits(stream, counter), m = static_cast<std::uint64_t>(n);
    const std::uint64_t low = x & 0xffffffff, high = x >> 32, m_low = m & 0xffffffff, m_high = m >> 32;
    const std::uint64_t middle = high * m_low + ((low * m_low) >> 32);
    const std::uint64_t cross = low * m_high + (middle & 0xffffffff);
    return static_cast<index>(high * m_high + (middle >> 32) + (cross >> 32));
  }
};

}  // namespace emend
