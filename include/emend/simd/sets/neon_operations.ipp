// The operations in which this set differs, and its registers. Part of neon.ipp, once a source.
#pragma once

/// Sixteen sums, four registers of factors, and there are thirty-two.
inline constexpr int gemm_rows = 8;

typedef float float_register __attribute__((vector_size(16)));
typedef double double_register __attribute__((vector_size(16)));

inline constexpr bool has_fused_multiply = true;
inline constexpr bool can_stream = false;
inline constexpr bool keeps_powers = true;
inline constexpr bool has_scaling = false;
template <class A, class R>
EMEND_INLINE void stream_pair(A*, const R&, const R&) {}

inline constexpr bool has_masked_load = false;

typedef std::uint16_t half_words __attribute__((vector_size(EMEND_BYTES / 2)));
typedef std::uint32_t word_register __attribute__((vector_size(EMEND_BYTES)));
/// Words of half words.
EMEND_INLINE word_register widened(half_words x) { return __builtin_convertvector(x, word_register); }

inline constexpr bool has_half_conversion = true;
EMEND_INLINE float_register from_half(half_words x) {
  return (float_register)vcvt_f32_f16(vreinterpret_f16_u16((uint16x4_t)x));
}
EMEND_INLINE half_words to_half(float_register x) {
  return (half_words)vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)x));
}

template <class M>
EMEND_INLINE bool is_any(const M& mask) {
  return vmaxvq_u32((uint32x4_t)mask) != 0;
}

// a b + c, rounded once: asked for by name, since compilers contract an expression only where they happen to see it
// whole.
EMEND_INLINE float_register fused_multiply_add(float_register a, float_register b, float_register c) {
  return (float_register)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
EMEND_INLINE double_register fused_multiply_add(double_register a, double_register b, double_register c) {
  return (double_register)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}

/// Makes a constant live in a register, where compilers would read it from memory at each of its uses.
template <class R>
EMEND_INLINE void keep_in_register(R& x) {
  asm("" : "+w"(x));
}

// max(low, x), NaN if x is NaN.
EMEND_INLINE float_register at_least(float_register low, float_register x) {
  return (float_register)vmaxq_f32((float32x4_t)low, (float32x4_t)x);
}
EMEND_INLINE double_register at_least(double_register low, double_register x) {
  return (double_register)vmaxq_f64((float64x2_t)low, (float64x2_t)x);
}

#include <emend/simd/registers.ipp>
