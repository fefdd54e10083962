// The operations in which this set differs, and its registers. Part of avx2.ipp, once a source.
#pragma once

inline constexpr int gemm_rows = 6;

typedef float float_register __attribute__((vector_size(32)));

inline constexpr bool has_fused_multiply = true;
inline constexpr bool can_stream = true;
/// Powers kept between the passes of a row: one exponential instead of two, for more stores and loads in the cache.
inline constexpr bool keeps_powers = true;

inline constexpr bool has_scaling = false;

/// Two registers past the cache, `out` on a register's boundary. In one piece, so that no other store comes between: a
/// line that leaves by halves is written twice.
template <class A, class R>
EMEND_TARGET EMEND_INLINE void stream_pair(A* out, R first, R second) {
  asm volatile("vmovntps %1, (%0)\n\tvmovntps %2, 32(%0)" : : "r"(out), "x"(first), "x"(second) : "memory");
}

inline constexpr bool has_masked_load = false;

typedef std::uint16_t half_words __attribute__((vector_size(EMEND_BYTES / 2)));
typedef std::uint32_t word_register __attribute__((vector_size(EMEND_BYTES)));
/// Words of half words.
EMEND_TARGET EMEND_INLINE word_register widened(half_words x) { return __builtin_convertvector(x, word_register); }

inline constexpr bool has_half_conversion = true;

typedef std::uint16_t half_register __attribute__((vector_size(16)));
typedef short half_operand __attribute__((vector_size(16)));

EMEND_TARGET EMEND_INLINE float_register from_half(half_register x) {
  return __builtin_ia32_vcvtph2ps256((half_operand)x);
}
EMEND_TARGET EMEND_INLINE half_register to_half(float_register x) {
  return (half_register)__builtin_ia32_vcvtps2ph256(x, 0);
}

template <class M>
EMEND_TARGET EMEND_INLINE bool is_any(const M& mask) {
  return __builtin_ia32_movmskps256((float_register)mask) != 0;
}

// a b + c, rounded once: asked for by name, since compilers contract an expression only where they happen to see it
// whole.
typedef double double_operand __attribute__((vector_size(32)));
EMEND_TARGET EMEND_INLINE float_register fused_multiply_add(float_register a, float_register b, float_register c) {
  return __builtin_ia32_vfmaddps256(a, b, c);
}
EMEND_TARGET EMEND_INLINE double_operand fused_multiply_add(double_operand a, double_operand b, double_operand c) {
  return __builtin_ia32_vfmaddpd256(a, b, c);
}

/// Makes a constant live in a register, where compilers would read it from memory at each of its uses.
template <class R>
EMEND_TARGET EMEND_INLINE void keep_in_register(R& x) {
  asm("" : "+x"(x));
}

// max(low, x), NaN if x is NaN.
#if defined(__clang__)
template <class R>
EMEND_TARGET EMEND_INLINE R at_least(R low, R x) {
  return low > x ? low : x;
}
#else
// GCC does not fold the comparison into one instruction.
typedef double double_register __attribute__((vector_size(32)));
EMEND_TARGET EMEND_INLINE float_register at_least(float_register low, float_register x) {
  return __builtin_ia32_maxps256(low, x);
}
EMEND_TARGET EMEND_INLINE double_register at_least(double_register low, double_register x) {
  return __builtin_ia32_maxpd256(low, x);
}
#endif

#include <emend/simd/registers.ipp>
