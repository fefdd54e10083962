#pragma once

#include <emend/core/lanes.hpp>
#include <emend/core/storage.hpp>

namespace emend::detail {

// Passes over one row of scores, written for 32 bytes at a time and compiled a second time for AVX2 as in core/lanes.hpp: the
// arithmetic is the same, and so are the bits. A is float or double.

/// Scores that share one maximum and one sum: what lies below a threshold is passed over block by block.
inline constexpr index score_block = 64;

inline index score_blocks(index n) { return (n + score_block - 1) / score_block; }

template <class A>
struct score_lanes {
  static constexpr index count = 32 / static_cast<index>(sizeof(A));
  using integer = std::conditional_t<sizeof(A) == 4, std::int32_t, std::int64_t>;
  typedef A numbers __attribute__((vector_size(32)));
  typedef integer flags __attribute__((vector_size(32)));
};

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
      for (index k = 0; k < lanes_of::count; ++k) largest = best[k] > largest ? best[k] : largest;
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

/// e^r for |r| <= ln 2 / 2, from the highest power down. Float: Taylor, 5e-9; double: 1e-17.
template <class A>
inline constexpr auto exponential_coefficients = [] {
  if constexpr (sizeof(A) == 4) {
    struct { float of[8] = {1 / 5040.0f, 1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1, 1}; } c;
    return c;
  } else {
    struct {
      double of[15] = {1 / 87178291200.0, 1 / 6227020800.0, 1 / 479001600.0, 1 / 39916800.0, 1 / 3628800.0, 1 / 362880.0,
                       1 / 40320.0, 1 / 5040.0, 1 / 720.0, 1 / 120.0, 1 / 24.0, 1 / 6.0, 0.5, 1, 1};
    } c;
    return c;
  }
}();

/// e^d for d <= 0; 0 where e^d is no normal number, so that -inf gives exactly 0.
template <class A>
[[gnu::always_inline]] inline void exponentials_of(const typename score_lanes<A>::numbers& d, typename score_lanes<A>::numbers& e) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  using flags = typename lanes_of::flags;
  constexpr bool is_float = sizeof(A) == 4;
  constexpr A lowest = is_float ? A(-87.3) : A(-708.3), magic = is_float ? A(12582912) : A(6755399441055744.0);
  constexpr A log2_of_e = A(1.44269504088896340736);
  constexpr A ln_2_high = is_float ? A(0.693359375) : A(6.93147180369123816490e-01);
  constexpr A ln_2_low = is_float ? A(-2.12194440e-4) : A(1.90821492927058770002e-10);
  const flags is_low = d < lowest;
  const numbers low = numbers{} + lowest, clamped = is_low ? low : d;
  const numbers shifted = clamped * log2_of_e + magic, n = shifted - magic;
  const numbers r = (clamped - n * ln_2_high) - n * ln_2_low;
  constexpr auto& c = exponential_coefficients<A>.of;
  numbers y = numbers{} + c[0];
#pragma GCC unroll 16
  for (unsigned k = 1; k < sizeof c / sizeof c[0]; ++k) y = y * r + c[k];
  const flags power = (flags)shifted << (is_float ? 23 : 52);
  e = (numbers)(((flags)y + power) & ~is_low);
}

/// powers[j] = exp((x_j - largest) factor); sums[b] is their sum over block b.
template <class A>
[[gnu::always_inline]] inline void row_powers_loop(const A* x, index n, A largest, A factor, A* powers, double* sums) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  for (index first = 0; first < n; first += score_block) {
    double total = 0;
    if (first + score_block <= n) {
      numbers sum{};
      for (index i = 0; i < score_block; i += lanes_of::count) {
        numbers v, e;
        __builtin_memcpy(&v, x + first + i, sizeof v);
        exponentials_of<A>((v - largest) * factor, e);
        __builtin_memcpy(powers + first + i, &e, sizeof e);
        sum += e;
      }
      for (index k = 0; k < lanes_of::count; ++k) total += static_cast<double>(sum[k]);
    } else {
      for (index i = first; i < n; i += lanes_of::count) {
        const index count = n - i < lanes_of::count ? n - i : lanes_of::count;
        numbers v = numbers{} + largest, e;
        __builtin_memcpy(&v, x + i, static_cast<std::size_t>(count) * sizeof(A));
        exponentials_of<A>((v - largest) * factor, e);
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
      for (index k = 0; k < lanes_of::count; ++k) total += static_cast<double>(sum[k]);
    } else {
      for (index i = first; i < n; ++i) total += static_cast<double>(powers[i]);
    }
    sums[first / score_block] = total;
  }
}

#if defined(__x86_64__)
template <class A>
[[gnu::target("avx2")]] bool block_maxima_avx2(const A* x, index n, A* maxima) {
  return block_maxima_loop(x, n, maxima);
}
template <class A>
[[gnu::target("avx2")]] void row_powers_avx2(const A* x, index n, A largest, A factor, A* powers, double* sums) {
  row_powers_loop(x, n, largest, factor, powers, sums);
}
template <class A>
[[gnu::target("avx2")]] void block_sums_avx2(const A* powers, index n, double* sums) {
  block_sums_loop(powers, n, sums);
}
#endif

template <class A>
bool block_maxima(const A* x, index n, A* maxima) {
#if defined(__x86_64__)
  if (has_avx2()) return block_maxima_avx2(x, n, maxima);
#endif
  return block_maxima_loop(x, n, maxima);
}
template <class A>
void row_powers(const A* x, index n, A largest, A factor, A* powers, double* sums) {
#if defined(__x86_64__)
  if (has_avx2()) return row_powers_avx2(x, n, largest, factor, powers, sums);
#endif
  row_powers_loop(x, n, largest, factor, powers, sums);
}
template <class A>
void block_sums(const A* powers, index n, double* sums) {
#if defined(__x86_64__)
  if (has_avx2()) return block_sums_avx2(powers, n, sums);
#endif
  block_sums_loop(powers, n, sums);
}

}  // namespace emend::detail
