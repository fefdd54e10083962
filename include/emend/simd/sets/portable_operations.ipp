// The operations in which this set differs, and its registers. Part of portable.ipp, once a source.
#pragma once

inline constexpr int gemm_rows = 4;

inline constexpr bool has_fused_multiply = false;
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

inline constexpr bool has_half_conversion = false;

template <class M>
EMEND_INLINE bool is_any(const M& mask) {
  for (unsigned lane = 0; lane < sizeof(M) / sizeof(mask[0]); ++lane)
    if (mask[lane]) return true;
  return false;
}

// a b + c; here in two roundings.
template <class R>
EMEND_INLINE R fused_multiply_add(R a, R b, R c) {
  return a * b + c;
}

// Nothing is known of the registers.
template <class R>
EMEND_INLINE void keep_in_register(R&) {}

// max(low, x), NaN if x is NaN.
template <class R>
EMEND_INLINE R at_least(R low, R x) {
  return low > x ? low : x;
}

#include <emend/simd/registers.ipp>
