#pragma once

#include <emend/core/lanes.hpp>
#include <emend/core/storage.hpp>

namespace emend::detail {

// Passes over one row of scores, written for 32 bytes at a time and compiled a second time for AVX2 as in
// core/lanes.hpp: the arithmetic is the same, and so are the bits, but for the last bit of powers in float: where the
// processor can, their polynomial is fused. A is float or double.

/// Scores that share one maximum and one sum: what lies below a threshold is passed over block by block.
inline constexpr index score_block = 64;

inline index score_blocks(index n) { return (n + score_block - 1) / score_block; }

template <class A>
struct score_lanes {
  static constexpr index count = 32 / static_cast<index>(sizeof(A));
  using integer = std::conditional_t<sizeof(A) == 4, std::int32_t, std::int64_t>;
  typedef A numbers __attribute__((vector_size(32)));
  typedef integer flags __attribute__((vector_size(32)));
  typedef std::make_unsigned_t<integer> bits __attribute__((vector_size(32)));
};

/// Sum of the lanes, each as double, in one order.
template <class A>
[[gnu::always_inline]] inline double sum_of_lanes(const typename score_lanes<A>::numbers& x) {
  double_lanes sum;
  if constexpr (sizeof(A) == 4)
    sum = double_lanes{static_cast<double>(x[0]), static_cast<double>(x[1]), static_cast<double>(x[2]),
                       static_cast<double>(x[3])} +
          double_lanes{static_cast<double>(x[4]), static_cast<double>(x[5]), static_cast<double>(x[6]),
                       static_cast<double>(x[7])};
  else
    sum = x;
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/// Largest of the lanes.
template <class A>
[[gnu::always_inline]] inline A largest_of_lanes(const typename score_lanes<A>::numbers& x) {
  typedef A half_numbers __attribute__((vector_size(16)));
  half_numbers low, high;
  __builtin_memcpy(&low, &x, sizeof low);
  __builtin_memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof low, sizeof high);
  low = high > low ? high : low;
  // Shuffles: of comparisons of single numbers compilers make branches.
  if constexpr (sizeof(A) == 4) {
    high = __builtin_shufflevector(low, low, 2, 3, 0, 1);
    low = high > low ? high : low;
    high = __builtin_shufflevector(low, low, 1, 0, 3, 2);
  } else {
    high = __builtin_shufflevector(low, low, 1, 0);
  }
  low = high > low ? high : low;
  return low[0];
}

/// maxima[b] = largest score of block b. Returns whether every score is below infinity: false for NaN and +inf.
template <class A>
[[gnu::always_inline]] inline bool block_maxima_loop(const A* x, index n, A* maxima) {
  using lanes_of = score_lanes<A>;
  typename lanes_of::flags is_bad{};
  bool is_tail_bad = false;
  const A infinite = static_cast<A>(__builtin_inf());
  for (index first = 0; first < n; first += score_block) {
    A largest = -infinite;
    if (first + score_block <= n) {
      typename lanes_of::numbers best, v;
      __builtin_memcpy(&best, x + first, sizeof best);
      is_bad |= ~(best < infinite);
      for (index i = lanes_of::count; i < score_block; i += lanes_of::count) {
        __builtin_memcpy(&v, x + first + i, sizeof v);
        is_bad |= ~(v < infinite);
        best = v > best ? v : best;
      }
      largest = largest_of_lanes<A>(best);
    } else {
      for (index i = first; i < n; ++i) {
        is_tail_bad |= !(x[i] < infinite);
        largest = x[i] > largest ? x[i] : largest;
      }
    }
    maxima[first / score_block] = largest;
  }
  for (index k = 0; k < lanes_of::count; ++k) is_tail_bad |= is_bad[k] != 0;
  return !is_tail_bad;
}

/// Coefficients of 2^r on [-1/2, 1/2], from the highest power down; the last is 1, so that 2^0 is exact. Float:
/// minimax, relative error 9e-8; double: Taylor, below 2e-16.
template <class A>
struct power_series {
  static constexpr A of[] = {1.3691488853904124e-12, 2.5678435993488196e-11,
                             4.44553827187081e-10,   7.054911620801121e-09,
                             1.0178086009239696e-07, 1.3215486790144305e-06,
                             1.5252733804059838e-05, 0.00015403530393381606,
                             0.0013333558146428441,  0.009618129107628477,
                             0.055504108664821576,   0.2402265069591007,
                             0.6931471805599453,     1.0};
};
template <>
struct power_series<float> {
  static constexpr float of[] = {0.001326472731307149f, 0.009671512991189957f, 0.05550733581185341f,
                                 0.24022242426872253f,  0.6931470036506653f,   1.0f};
};

/// 2^t for t <= 0; 0 where that is no normal number, so that -inf gives exactly 0.
template <class A>
[[gnu::always_inline]] inline void powers_of(const typename score_lanes<A>::numbers& t,
                                             typename score_lanes<A>::numbers& e) {
  using numbers = typename score_lanes<A>::numbers;
  using flags = typename score_lanes<A>::flags;
  using bits = typename score_lanes<A>::bits;
  constexpr bool is_float = sizeof(A) == 4;
  constexpr A lowest = is_float ? A(-126) : A(-1022), magic = is_float ? A(12582912) : A(6755399441055744.0);
  constexpr auto& c = power_series<A>::of;
  const numbers shifted = t + magic, r = t - (shifted - magic);
  numbers y = numbers{} + c[0];
#pragma GCC unroll 16
  for (unsigned k = 1; k < sizeof c / sizeof c[0]; ++k) y = y * r + c[k];
  // Where t is below lowest the sum wraps and is thrown away: only unsigned numbers may.
  e = (numbers)(flags)(((bits)y + ((bits)shifted << (is_float ? 23 : 52))) & (bits)(t >= lowest));
}

/// powers[j] = 2^((x_j - largest) multiplier); sums[b] is their sum over block b.
template <class A>
[[gnu::always_inline]] inline void row_powers_loop(const A* x, index n, A largest, A multiplier, A* powers,
                                                   double* sums) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  for (index first = 0; first < n; first += score_block) {
    double total = 0;
    if (first + score_block <= n) {
      numbers sum{};
      for (index i = 0; i < score_block; i += lanes_of::count) {
        numbers v, e;
        __builtin_memcpy(&v, x + first + i, sizeof v);
        powers_of<A>((v - largest) * multiplier, e);
        __builtin_memcpy(powers + first + i, &e, sizeof e);
        sum += e;
      }
      total += sum_of_lanes<A>(sum);
    } else {
      for (index i = first; i < n; i += lanes_of::count) {
        const index count = n - i < lanes_of::count ? n - i : lanes_of::count;
        numbers v = numbers{} + largest, e;
        __builtin_memcpy(&v, x + i, static_cast<std::size_t>(count) * sizeof(A));
        powers_of<A>((v - largest) * multiplier, e);
        __builtin_memcpy(powers + i, &e, static_cast<std::size_t>(count) * sizeof(A));
        for (index k = 0; k < count; ++k) total += static_cast<double>(e[k]);
      }
    }
    sums[first / score_block] = total;
  }
}

/// sums[b] = sum over block b.
template <class A>
[[gnu::always_inline]] inline void block_sums_loop(const A* powers, index n, double* sums) {
  using lanes_of = score_lanes<A>;
  for (index first = 0; first < n; first += score_block) {
    double total = 0;
    if (first + score_block <= n) {
      typename lanes_of::numbers sum{}, v;
      for (index i = 0; i < score_block; i += lanes_of::count) {
        __builtin_memcpy(&v, powers + first + i, sizeof v);
        sum += v;
      }
      total += sum_of_lanes<A>(sum);
    } else {
      for (index i = first; i < n; ++i) total += static_cast<double>(powers[i]);
    }
    sums[first / score_block] = total;
  }
}

/// Sums of the weights of all keys that are at least low, and of those that are at least high.
struct weight_sums {
  double from_low = 0, from_high = 0;
};
template <class A>
[[gnu::always_inline]] inline weight_sums weights_from_loop(const A* keys, const A* weights, index n, A low, A high) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  using flags = typename lanes_of::flags;
  weight_sums total;
  for (index first = 0; first < n; first += score_block) {
    if (first + score_block <= n) {
      numbers from_low{}, from_high{}, key, weight;
      for (index i = 0; i < score_block; i += lanes_of::count) {
        __builtin_memcpy(&key, keys + first + i, sizeof key);
        __builtin_memcpy(&weight, weights + first + i, sizeof weight);
        from_low += (numbers)((flags)weight & (key >= low));
        from_high += (numbers)((flags)weight & (key >= high));
      }
      total.from_low += sum_of_lanes<A>(from_low);
      total.from_high += sum_of_lanes<A>(from_high);
    } else {
      for (index i = first; i < n; ++i) {
        if (keys[i] >= low) total.from_low += static_cast<double>(weights[i]);
        if (keys[i] >= high) total.from_high += static_cast<double>(weights[i]);
      }
    }
  }
  return total;
}

/// Lowest and highest of n keys, n at least 1.
template <class A>
[[gnu::always_inline]] inline void key_range_loop(const A* keys, index n, A& low, A& high) {
  using lanes_of = score_lanes<A>;
  low = high = keys[0];
  index i = 0;
  if (n >= lanes_of::count) {
    typename lanes_of::numbers least, most, key;
    __builtin_memcpy(&least, keys, sizeof least);
    most = least;
    for (i = lanes_of::count; i + lanes_of::count <= n; i += lanes_of::count) {
      __builtin_memcpy(&key, keys + i, sizeof key);
      least = key < least ? key : least;
      most = key > most ? key : most;
    }
    for (index k = 0; k < lanes_of::count; ++k) {
      low = least[k] < low ? least[k] : low;
      high = most[k] > high ? most[k] : high;
    }
  }
  for (; i < n; ++i) {
    low = keys[i] < low ? keys[i] : low;
    high = keys[i] > high ? keys[i] : high;
  }
}

/// numbers[i] = (high - keys[i]) scale, rounded down, at most buckets - 1. keys at most high, and no lower than buckets
/// / scale below it but for rounding.
template <class A>
[[gnu::always_inline]] inline void bucket_numbers_loop(const A* keys, index n, A high, A scale, std::int32_t buckets,
                                                       std::int32_t* numbers) {
  for (index i = 0; i < n; ++i) {
    const auto b = static_cast<std::int32_t>((high - keys[i]) * scale);
    numbers[i] = b < buckets ? b : buckets - 1;
  }
}

/// powers[i] = 0 where x[i] is below `bound`; sums[b] is what is left of block b.
template <class A>
[[gnu::always_inline]] inline void clear_below_loop(const A* x, index n, A bound, A* powers, double* sums) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  for (index first = 0; first < n; first += score_block) {
    double total = 0;
    if (first + score_block <= n) {
      numbers sum{};
      for (index i = first; i < first + score_block; i += lanes_of::count) {
        numbers v, e;
        __builtin_memcpy(&v, x + i, sizeof v);
        __builtin_memcpy(&e, powers + i, sizeof e);
        e = (numbers)((typename lanes_of::flags)e & (v >= bound));
        __builtin_memcpy(powers + i, &e, sizeof e);
        sum += e;
      }
      total += sum_of_lanes<A>(sum);
    } else {
      for (index i = first; i < n; ++i) {
        if (!(x[i] >= bound)) powers[i] = 0;
        total += static_cast<double>(powers[i]);
      }
    }
    sums[first / score_block] = total;
  }
}

#if defined(__x86_64__)
template <class A>
[[gnu::target("avx2")]] weight_sums weights_from_avx2(const A* keys, const A* weights, index n, A low, A high) {
  return weights_from_loop(keys, weights, n, low, high);
}
template <class A>
[[gnu::target("avx2")]] void key_range_avx2(const A* keys, index n, A& low, A& high) {
  key_range_loop(keys, n, low, high);
}
template <class A>
[[gnu::target("avx2")]] void bucket_numbers_avx2(const A* keys, index n, A high, A scale, std::int32_t buckets,
                                                 std::int32_t* numbers) {
  bucket_numbers_loop(keys, n, high, scale, buckets, numbers);
}
template <class A>
[[gnu::target("avx2")]] void clear_below_avx2(const A* x, index n, A bound, A* powers, double* sums) {
  clear_below_loop(x, n, bound, powers, sums);
}
template <class A>
[[gnu::target("avx2")]] bool block_maxima_avx2(const A* x, index n, A* maxima) {
  return block_maxima_loop(x, n, maxima);
}
template <class A>
[[gnu::target("avx2")]] void row_powers_avx2(const A* x, index n, A largest, A multiplier, A* powers, double* sums) {
  row_powers_loop(x, n, largest, multiplier, powers, sums);
}
/// With the instruction at hand compilers fuse the steps of the polynomial.
[[gnu::target("avx2,fma")]] inline void row_powers_fma(const float* x, index n, float largest, float multiplier,
                                                       float* powers, double* sums) {
  row_powers_loop(x, n, largest, multiplier, powers, sums);
}
// nvcc's front end does not survive these built-ins; a source that it compiles takes row_powers_fma, of the same bits.
#if !defined(__CUDACC__)
/// Sixteen at a time, rounded and scaled by the instructions for it; the bits of row_powers_fma, sums included.
[[gnu::target("avx512f,avx2,fma")]] inline void row_powers_avx512(const float* x, index n, float largest,
                                                                  float multiplier, float* powers, double* sums) {
  typedef float numbers __attribute__((vector_size(64)));
  using half_numbers = score_lanes<float>::numbers;
  constexpr unsigned short all = 0xffff;
  constexpr int nearest = 8, at_least = 13, in_any_mode = 4;
  constexpr auto& c = power_series<float>::of;
  index first = 0;
  for (; first + score_block <= n; first += score_block) {
    half_numbers sum{};
    for (index i = first; i < first + score_block; i += 16) {
      numbers v;
      __builtin_memcpy(&v, x + i, sizeof v);
      const numbers t = (v - largest) * multiplier;
      const auto rounded = (numbers)__builtin_ia32_rndscaleps_mask(t, nearest, t, all, in_any_mode);
      const numbers r = t - rounded;
      numbers y = numbers{} + c[0];
#pragma GCC unroll 16
      for (unsigned k = 1; k < sizeof c / sizeof c[0]; ++k) y = y * r + c[k];
      const unsigned short is_normal = __builtin_ia32_cmpps512_mask(t, numbers{} - 126.0f, at_least, all, in_any_mode);
      const auto e = (numbers)__builtin_ia32_scalefps512_mask(y, rounded, numbers{}, is_normal, in_any_mode);
      __builtin_memcpy(powers + i, &e, sizeof e);
      sum += __builtin_shufflevector(e, e, 0, 1, 2, 3, 4, 5, 6, 7);
      sum += __builtin_shufflevector(e, e, 8, 9, 10, 11, 12, 13, 14, 15);
    }
    sums[first / score_block] = sum_of_lanes<float>(sum);
  }
  if (first < n) row_powers_loop(x + first, n - first, largest, multiplier, powers + first, sums + first / score_block);
}
#endif
template <class A>
[[gnu::target("avx2")]] void block_sums_avx2(const A* powers, index n, double* sums) {
  block_sums_loop(powers, n, sums);
}
#endif

template <class A>
bool block_maxima(const A* x, index n, A* maxima) {
#if defined(__x86_64__)
  if (uses_avx2()) return block_maxima_avx2(x, n, maxima);
#endif
  return block_maxima_loop(x, n, maxima);
}
template <class A>
void row_powers(const A* x, index n, A largest, A multiplier, A* powers, double* sums) {
#if defined(__x86_64__)
  if constexpr (sizeof(A) == 4) {
#if !defined(__CUDACC__)
    if (uses_avx512()) return row_powers_avx512(x, n, largest, multiplier, powers, sums);
#endif
    if (uses_avx2()) return row_powers_fma(x, n, largest, multiplier, powers, sums);
  }
  if (uses_avx2()) return row_powers_avx2(x, n, largest, multiplier, powers, sums);
#endif
  row_powers_loop(x, n, largest, multiplier, powers, sums);
}
template <class A>
void block_sums(const A* powers, index n, double* sums) {
#if defined(__x86_64__)
  if (uses_avx2()) return block_sums_avx2(powers, n, sums);
#endif
  block_sums_loop(powers, n, sums);
}

template <class A>
weight_sums weights_from(const A* keys, const A* weights, index n, A low, A high) {
#if defined(__x86_64__)
  if (uses_avx2()) return weights_from_avx2(keys, weights, n, low, high);
#endif
  return weights_from_loop(keys, weights, n, low, high);
}
template <class A>
void key_range(const A* keys, index n, A& low, A& high) {
#if defined(__x86_64__)
  if (uses_avx2()) return key_range_avx2(keys, n, low, high);
#endif
  key_range_loop(keys, n, low, high);
}
template <class A>
void bucket_numbers(const A* keys, index n, A high, A scale, std::int32_t buckets, std::int32_t* numbers) {
#if defined(__x86_64__)
  if (uses_avx2()) return bucket_numbers_avx2(keys, n, high, scale, buckets, numbers);
#endif
  bucket_numbers_loop(keys, n, high, scale, buckets, numbers);
}
template <class A>
void clear_below(const A* x, index n, A bound, A* powers, double* sums) {
#if defined(__x86_64__)
  if (uses_avx2()) return clear_below_avx2(x, n, bound, powers, sums);
#endif
  clear_below_loop(x, n, bound, powers, sums);
}

}  // namespace emend::detail
