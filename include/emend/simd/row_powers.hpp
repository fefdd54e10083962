#pragma once

#include <emend/simd/score_lanes.hpp>

namespace emend::detail {

/// Scores that share one maximum and one sum: what lies below a threshold is passed over block by block.
inline constexpr index score_block = 64;

inline index score_blocks(index n) { return (n + score_block - 1) / score_block; }

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

#if defined(__x86_64__)
// nvcc's front end does not survive these built-ins; a source that it compiles takes the loop for AVX2, of the same
// bits.
#if !defined(__CUDACC__)
/// Sixteen at a time, rounded and scaled by the instructions for it; the bits of the loop for AVX2, sums included.
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
#endif

/// powers[j] = 2^((x_j - largest) multiplier); sums[b] is their sum over block b. The last bit of powers in float
/// depends on the set: where the processor can, their polynomial is fused.
template <class A>
void row_powers(const A* x, index n, A largest, A multiplier, A* powers, double* sums) {
  const auto loop = [=]() __attribute__((always_inline)) { row_powers_loop(x, n, largest, multiplier, powers, sums); };
  if constexpr (sizeof(A) == 4) {
#if defined(__x86_64__) && !defined(__CUDACC__)
    if (uses_avx512()) return row_powers_avx512(x, n, largest, multiplier, powers, sums);
#endif
    simd::with_fused_lanes(loop);
  } else {
    simd::with_fixed_lanes(loop);
  }
}

}  // namespace emend::detail
