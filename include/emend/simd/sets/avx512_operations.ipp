// The operations in which this set differs, and its registers. Part of avx512.ipp, once a source.
#pragma once

inline constexpr int gemm_rows = 12;

typedef float float_register __attribute__((vector_size(64)));

inline constexpr bool has_fused_multiply = true;
inline constexpr bool can_stream = true;
/// Powers are not kept between the passes of a row: a second exponential costs less than storing and loading them.
inline constexpr bool keeps_powers = false;

// t rounded to the nearest integer, and x 2^n for an integer n: 0 below the range, infinity above.
inline constexpr bool has_scaling = true;
typedef float float_operand __attribute__((vector_size(64)));
typedef double double_scaled __attribute__((vector_size(64)));
EMEND_TARGET EMEND_INLINE float_operand round_to_integer(float_operand t) {
  return (float_operand)__builtin_ia32_rndscaleps_mask(t, 8, t, static_cast<unsigned short>(-1), 4);
}
EMEND_TARGET EMEND_INLINE double_scaled round_to_integer(double_scaled t) {
  return (double_scaled)__builtin_ia32_rndscalepd_mask(t, 8, t, static_cast<unsigned char>(-1), 4);
}
EMEND_TARGET EMEND_INLINE float_operand scale_by_power(float_operand x, float_operand n) {
  return (float_operand)__builtin_ia32_scalefps512_mask(x, n, x, static_cast<unsigned short>(-1), 4);
}
EMEND_TARGET EMEND_INLINE double_scaled scale_by_power(double_scaled x, double_scaled n) {
  return (double_scaled)__builtin_ia32_scalefpd512_mask(x, n, x, static_cast<unsigned char>(-1), 4);
}

/// Two registers past the cache, `out` on a register's boundary. In one piece, so that no other store comes between: a
/// line that leaves by halves is written twice.
template <class A, class R>
EMEND_TARGET EMEND_INLINE void stream_pair(A* out, R first, R second) {
  asm volatile("vmovntps %1, (%0)\n\tvmovntps %2, 64(%0)" : : "r"(out), "v"(first), "v"(second) : "memory");
}

inline constexpr bool has_masked_load = true;
typedef short halves_operand __attribute__((vector_size(64)));
/// The words of the register at x + first whose low halves are left out: the numbers at the odd places behind it. What
/// is left out is not read, so it may lie outside the row.
template <class T>
EMEND_TARGET EMEND_INLINE float_register high_halves(const T* x, int first) {
  const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(x) + static_cast<std::uintptr_t>(first) * sizeof(T);
#if defined(__clang__)
  using pointer = const halves_operand*;
#else
  using pointer = const short*;
#endif
  return (float_register)__builtin_ia32_loaddquhi512_mask(reinterpret_cast<pointer>(place), halves_operand{},
                                                          0xaaaaaaaau);
}

inline constexpr bool has_half_conversion = true;

typedef std::uint16_t half_register __attribute__((vector_size(32)));
typedef short half_operand __attribute__((vector_size(32)));

/// Words of half words.
typedef std::uint32_t word_register __attribute__((vector_size(64)));
EMEND_TARGET EMEND_INLINE word_register widened(half_register x) {
#if defined(__clang__)
  return __builtin_convertvector(x, word_register);
#else
  // GCC takes it in halves that it joins.
  typedef int words_operand __attribute__((vector_size(64)));
  return (word_register)__builtin_ia32_pmovzxwd512_mask((half_operand)x, words_operand{},
                                                        static_cast<unsigned short>(-1));
#endif
}

EMEND_TARGET EMEND_INLINE float_register from_half(half_register x) {
  return (float_register)__builtin_ia32_vcvtph2ps512_mask((half_operand)x, float_register{},
                                                          static_cast<unsigned short>(-1), 4);
}
EMEND_TARGET EMEND_INLINE half_register to_half(float_register x) {
  return (half_register)__builtin_ia32_vcvtps2ph512_mask(x, 0, half_operand{}, static_cast<unsigned short>(-1));
}

template <class M>
EMEND_TARGET EMEND_INLINE bool is_any(const M& mask) {
  typedef long long words __attribute__((vector_size(64)));
  const words w = (words)mask;
  return ((w[0] | w[1]) | (w[2] | w[3]) | (w[4] | w[5]) | (w[6] | w[7])) != 0;
}

// a b + c, rounded once: asked for by name, since compilers contract an expression only where they happen to see it
// whole.
typedef double double_operand __attribute__((vector_size(64)));
EMEND_TARGET EMEND_INLINE float_register fused_multiply_add(float_register a, float_register b, float_register c) {
  return (float_register)__builtin_ia32_vfmaddps512_mask(a, b, c, static_cast<unsigned short>(-1), 4);
}
EMEND_TARGET EMEND_INLINE double_operand fused_multiply_add(double_operand a, double_operand b, double_operand c) {
  return (double_operand)__builtin_ia32_vfmaddpd512_mask(a, b, c, static_cast<unsigned char>(-1), 4);
}

// Its registers hold every constant.
template <class R>
EMEND_TARGET EMEND_INLINE void keep_in_register(R&) {}

/// x, and what computes it stands before all that is written after this, for compilers too.
template <class R>
EMEND_TARGET EMEND_INLINE R in_order(R x) {
  asm volatile("" : "+v"(x));
  return x;
}

// max(low, x), NaN if x is NaN.
#if defined(__clang__)
template <class R>
EMEND_TARGET EMEND_INLINE R at_least(R low, R x) {
  return low > x ? low : x;
}
#else
// GCC does not fold the comparison into one instruction.
typedef double double_register __attribute__((vector_size(64)));
EMEND_TARGET EMEND_INLINE float_register at_least(float_register low, float_register x) {
  return __builtin_ia32_maxps512_mask(low, x, low, static_cast<unsigned short>(-1), 4);
}
EMEND_TARGET EMEND_INLINE double_register at_least(double_register low, double_register x) {
  return __builtin_ia32_maxpd512_mask(low, x, low, static_cast<unsigned char>(-1), 4);
}
#endif

#include <emend/simd/registers.ipp>
