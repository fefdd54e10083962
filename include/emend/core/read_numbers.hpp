#pragma once

#include <emend/simd/double_lanes.hpp>

namespace emend::detail {

// Runs of a column as numbers and as flags.

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

template <class T>
void read_numbers(const T* from, index stride, index count, double* out) {
  simd::with_fixed_lanes([=]() __attribute__((always_inline)) { read_numbers_loop(from, stride, count, out); });
}
inline index count_bytes(const signed char* from, index count) {
  return simd::with_fixed_lanes([=]() __attribute__((always_inline)) { return count_bytes_loop(from, count); });
}
template <class T>
index read_flags(const T* from, index stride, index count, long long* out) {
  return simd::with_fixed_lanes(
      [=]() __attribute__((always_inline)) { return read_flags_loop(from, stride, count, out); });
}

}  // namespace emend::detail
