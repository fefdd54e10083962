#pragma once

#include <emend/simd/double_lanes.hpp>

#include <cstdint>

namespace emend::detail {

/// Where the entries of a compaction come from and go to; what is null is left out. Outputs may be the inputs
/// themselves.
template <class A>
struct compaction {
  const A* weights = nullptr;
  A* out_keys = nullptr;
  A* out_weights = nullptr;
  std::int32_t* out_ids = nullptr;  ///< of entry i: i itself
};

/// Moves entries first .. last-1 with low <= key < high to out[kept] and on, in order; returns kept and their number.
/// An output needs room for `last` entries, and kept is at most `first`.
template <class A>
index compact_loop(const A* keys, index first, index last, A low, A high, const compaction<A>& to, index kept) {
  for (index i = first; i < last; ++i) {
    const A key = keys[i];
    const bool is_kept = (key >= low) & (key < high);
    to.out_keys[kept] = key;
    if (to.out_weights) to.out_weights[kept] = to.weights[i];
    if (to.out_ids) to.out_ids[kept] = static_cast<std::int32_t>(i);
    kept += is_kept;
  }
  return kept;
}

#if defined(__x86_64__)
/// For each of 256 masks of eight lanes, the lanes that are set, in front, four bits each.
struct lane_orders {
  std::uint32_t of[256] = {};
  constexpr lane_orders() {
    for (unsigned mask = 0; mask < 256; ++mask)
      for (unsigned lane = 0, kept = 0; lane < 8; ++lane)
        if (mask >> lane & 1) of[mask] |= lane << 4 * kept++;
  }
};
inline constexpr lane_orders orders_of_lanes{};

[[gnu::target("avx2,popcnt")]] inline index compact_avx2(const float* keys, index first, index last, float low,
                                                         float high, const compaction<float>& to, index kept) {
  typedef float numbers __attribute__((vector_size(32)));
  typedef int ids __attribute__((vector_size(32)));
  typedef std::uint32_t words __attribute__((vector_size(32)));
  constexpr words place{0, 4, 8, 12, 16, 20, 24, 28};
  index i = first;
  for (; i + 8 <= last; i += 8) {
    numbers key, weight{};
    __builtin_memcpy(&key, keys + i, sizeof key);
    const auto mask = static_cast<unsigned>(__builtin_ia32_movmskps256((numbers)((key >= low) & (key < high))));
    if (to.out_weights) __builtin_memcpy(&weight, to.weights + i, sizeof weight);
    const ids lanes_kept = (ids)(((words{} + orders_of_lanes.of[mask]) >> place) & 7u);
    const numbers front = __builtin_ia32_permvarsf256(key, lanes_kept);
    __builtin_memcpy(to.out_keys + kept, &front, sizeof front);
    if (to.out_weights) {
      const numbers weight_front = __builtin_ia32_permvarsf256(weight, lanes_kept);
      __builtin_memcpy(to.out_weights + kept, &weight_front, sizeof weight_front);
    }
    if (to.out_ids) {
      const ids id_front = lanes_kept + static_cast<int>(i);
      __builtin_memcpy(to.out_ids + kept, &id_front, sizeof id_front);
    }
    kept += __builtin_popcount(mask);
  }
  return compact_loop(keys, i, last, low, high, to, kept);
}

// nvcc's front end does not survive these built-ins; a source that it compiles takes the loop for AVX2, whose results
// are the same.
#if !defined(__CUDACC__)
/// By the instruction that does just this.
[[gnu::target("avx512f,popcnt")]] inline index compact_avx512(const float* keys, index first, index last, float low,
                                                              float high, const compaction<float>& to, index kept) {
  typedef float numbers __attribute__((vector_size(64)));
  typedef int ids __attribute__((vector_size(64)));
  constexpr int at_least = 13, below = 1, in_any_mode = 4;
  constexpr ids lane{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  index i = first;
  for (; i + 16 <= last; i += 16) {
    numbers key, weight{};
    __builtin_memcpy(&key, keys + i, sizeof key);
    const unsigned short reaching =
        __builtin_ia32_cmpps512_mask(key, numbers{} + low, at_least, static_cast<unsigned short>(-1), in_any_mode);
    const unsigned short mask = __builtin_ia32_cmpps512_mask(key, numbers{} + high, below, reaching, in_any_mode);
    const auto front = (numbers)__builtin_ia32_compresssf512_mask(key, numbers{}, mask);
    __builtin_memcpy(to.out_keys + kept, &front, sizeof front);
    if (to.out_weights) {
      __builtin_memcpy(&weight, to.weights + i, sizeof weight);
      const auto weight_front = (numbers)__builtin_ia32_compresssf512_mask(weight, numbers{}, mask);
      __builtin_memcpy(to.out_weights + kept, &weight_front, sizeof weight_front);
    }
    if (to.out_ids) {
      const auto id_front = (ids)__builtin_ia32_compresssi512_mask(lane + static_cast<int>(i), ids{}, mask);
      __builtin_memcpy(to.out_ids + kept, &id_front, sizeof id_front);
    }
    kept += __builtin_popcount(mask);
  }
  return compact_loop(keys, i, last, low, high, to, kept);
}
#endif
#endif

template <class A>
index compact(const A* keys, index first, index last, A low, A high, const compaction<A>& to, index kept) {
#if defined(__x86_64__)
  if constexpr (sizeof(A) == 4) {
#if !defined(__CUDACC__)
    if (uses_avx512()) return compact_avx512(keys, first, last, low, high, to, kept);
#endif
    if (uses_avx2()) return compact_avx2(keys, first, last, low, high, to, kept);
  }
#endif
  return compact_loop(keys, first, last, low, high, to, kept);
}

}  // namespace emend::detail
