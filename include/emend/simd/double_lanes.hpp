#pragma once

#include <emend/base/index.hpp>
#include <emend/simd/dispatch.hpp>

#include <type_traits>

namespace emend::detail {

// The fixed arithmetic: four numbers of double side by side, as GCC and Clang both know them. Without AVX they are two
// registers each. Loops over them run by `simd::with_fixed_lanes`: the arithmetic is the same on every set, and so are
// the bits. They stay within a function: how they are passed between functions depends on the instruction set.
using double_lanes [[gnu::vector_size(32)]] = double;
using flag_lanes [[gnu::vector_size(32)]] = long long;
using float_lanes [[gnu::vector_size(16)]] = float;
using byte_lanes [[gnu::vector_size(32)]] = signed char;
using four_bytes [[gnu::vector_size(4)]] = signed char;
inline constexpr index lanes = 4;

/// Four numbers as double, and back.
template <class T>
[[gnu::always_inline]] inline void load_lanes(const T* from, double_lanes& x) {
  if constexpr (std::is_same_v<T, double>) {
    __builtin_memcpy(&x, from, sizeof x);
  } else {
    // Of float one instruction; GCC 12 makes five of __builtin_convertvector.
    x = double_lanes{static_cast<double>(from[0]), static_cast<double>(from[1]), static_cast<double>(from[2]),
                     static_cast<double>(from[3])};
  }
}
template <class T>
[[gnu::always_inline]] inline void store_lanes(const double_lanes& x, T* to) {
  if constexpr (std::is_same_v<T, double>) {
    __builtin_memcpy(to, &x, sizeof x);
  } else if constexpr (std::is_same_v<T, float>) {
    const float_lanes narrow = __builtin_convertvector(x, float_lanes);
    __builtin_memcpy(to, &narrow, sizeof narrow);
  } else {
    for (index i = 0; i < lanes; ++i) to[i] = static_cast<T>(x[i]);
  }
}

/// a where all bits of the flag are set, b where none is, without a branch.
[[gnu::always_inline]] inline double number_if(long long flag, double a, double b) {
  long long bits_a, bits_b;
  __builtin_memcpy(&bits_a, &a, sizeof a);
  __builtin_memcpy(&bits_b, &b, sizeof b);
  bits_a = (bits_a & flag) | (bits_b & ~flag);
  __builtin_memcpy(&a, &bits_a, sizeof a);
  return a;
}

/// Four flags: all bits where the entry is not 0, else none. Entries are bytes, or flags already.
[[gnu::always_inline]] inline void load_flags(const signed char* from, flag_lanes& flags) {
  four_bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  flags = __builtin_convertvector(bytes != 0, flag_lanes);
}
[[gnu::always_inline]] inline void load_flags(const long long* from, flag_lanes& flags) {
  __builtin_memcpy(&flags, from, sizeof flags);
}

/// x stays where the flag is set and becomes 0 where it is not. Flags as `load_flags` takes them; comparing bytes with
/// 0 is one instruction, and what follows it takes the complement.
[[gnu::always_inline]] inline void clear_unflagged(const signed char* from, double_lanes& x) {
  four_bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  x = (double_lanes)((flag_lanes)x & ~__builtin_convertvector(bytes == 0, flag_lanes));
}
[[gnu::always_inline]] inline void clear_unflagged(const long long* from, double_lanes& x) {
  flag_lanes flags;
  __builtin_memcpy(&flags, from, sizeof flags);
  x = (double_lanes)((flag_lanes)x & flags);
}

}  // namespace emend::detail
