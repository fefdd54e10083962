#pragma once

#include <emend/core/index.hpp>
#include <emend/core/instruction_set.hpp>

#include <type_traits>

namespace emend::detail {

// Four numbers side by side, as GCC and Clang both know them. Without AVX they are two registers each; the loops over
// them are compiled a second time for AVX2; the instruction set of the process decides which runs. The arithmetic is
// the same, and so are the bits. They stay within a function: how they are passed between functions depends on the
// instruction set.
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

/// out[i] = from[i * stride] as double.
template <class T>
[[gnu::always_inline]] inline void read_numbers_loop(const T* from, index stride, index count, double* out) {
  index i = 0;
  if constexpr (std::is_floating_point_v<T>)
    for (; stride == 1 && i + lanes <= count; i += lanes) {
      double_lanes x;
      load_lanes(from + i, x);
      store_lanes(x, out + i);
    }
  for (; i < count; ++i) out[i] = static_cast<double>(from[i * stride]);
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

/// How many of `count` bytes, at most 4000, are not 0.
[[gnu::always_inline]] inline index count_bytes_loop(const signed char* from, index count) {
  byte_lanes missing = {};
  index i = 0;
  for (; i + 32 <= count; i += 32) {
    byte_lanes bytes;
    __builtin_memcpy(&bytes, from + i, sizeof bytes);
    missing -= bytes == 0;
  }
  const auto words = (flag_lanes)missing;
  index set = i;
  if ((words[0] | words[1] | words[2] | words[3]) != 0)
    for (index k = 0; k < 32; ++k) set -= missing[k];
  for (; i < count; ++i) set += from[i] != 0;
  return set;
}

/// out[i] = all bits where from[i * stride] is not 0, else none. Returns how many are not 0; if all are, out may be
/// left as it was.
template <class T>
[[gnu::always_inline]] inline index read_flags_loop(const T* from, index stride, index count, long long* out) {
  index i = 0, set = 0;
  if constexpr (sizeof(T) == 1) {
    if (stride == 1) {
      // Masks change seldom: most runs are all set.
      const auto* const bytes = reinterpret_cast<const signed char*>(from);
      index seen = 0, counted = 0;
      for (; seen < count; seen += 2048)
        counted += count_bytes_loop(bytes + seen, count - seen < 2048 ? count - seen : 2048);
      if (counted == count) return count;
      for (; i + lanes <= count; i += lanes) {
        flag_lanes flags;
        load_flags(bytes + i, flags);
        __builtin_memcpy(out + i, &flags, sizeof flags);
      }
      for (; i < count; ++i) out[i] = bytes[i] != 0 ? -1 : 0;
      return counted;
    }
  } else if constexpr (std::is_same_v<T, float>) {
    flag_lanes sum = {0, 0, 0, 0};
    for (; stride == 1 && i + lanes <= count; i += lanes) {
      double_lanes x;
      load_lanes(from + i, x);
      const flag_lanes y = x != 0;
      __builtin_memcpy(out + i, &y, sizeof y);
      sum -= y;
    }
    set = static_cast<index>(sum[0] + sum[1] + sum[2] + sum[3]);
  }
  for (; i < count; ++i) {
    out[i] = from[i * stride] != T(0) ? -1 : 0;
    set -= static_cast<index>(out[i]);
  }
  return set;
}

#if defined(__x86_64__)
template <class T>
[[gnu::target("avx2")]] void read_numbers_avx2(const T* from, index stride, index count, double* out) {
  read_numbers_loop(from, stride, count, out);
}
[[gnu::target("avx2")]] inline index count_bytes_avx2(const signed char* from, index count) {
  return count_bytes_loop(from, count);
}
template <class T>
[[gnu::target("avx2")]] index read_flags_avx2(const T* from, index stride, index count, long long* out) {
  return read_flags_loop(from, stride, count, out);
}
#endif

template <class T>
void read_numbers(const T* from, index stride, index count, double* out) {
#if defined(__x86_64__)
  if (uses_avx2()) return read_numbers_avx2(from, stride, count, out);
#endif
  read_numbers_loop(from, stride, count, out);
}
inline index count_bytes(const signed char* from, index count) {
#if defined(__x86_64__)
  if (uses_avx2()) return count_bytes_avx2(from, count);
#endif
  return count_bytes_loop(from, count);
}
template <class T>
index read_flags(const T* from, index stride, index count, long long* out) {
#if defined(__x86_64__)
  if (uses_avx2()) return read_flags_avx2(from, stride, count, out);
#endif
  return read_flags_loop(from, stride, count, out);
}

}  // namespace emend::detail
