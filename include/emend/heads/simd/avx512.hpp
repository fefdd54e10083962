#pragma once

#include <emend/heads/simd/kernel_prologue.hpp>

#if defined(__x86_64__)

#define EMEND_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define EMEND_INLINE __attribute__((always_inline)) inline
#define EMEND_INLINE_LAMBDA __attribute__((always_inline))
#define EMEND_BYTES 64

namespace emend::detail::avx512 {

inline constexpr int row_unroll = 4;
inline constexpr int gemm_rows = 12;

typedef float float_register __attribute__((vector_size(64)));

template <class A>
inline constexpr bool can_stream = std::is_same_v<A, float>;

EMEND_TARGET EMEND_INLINE void stream(float* out, float_register x) {
#if defined(__clang__)
  __builtin_nontemporal_store(x, reinterpret_cast<float_register*>(out));
#else
  __builtin_ia32_movntps512(out, x);
#endif
}

template <class M>
EMEND_TARGET EMEND_INLINE bool is_any(const M& mask) {
  typedef long long words __attribute__((vector_size(64)));
  const words w = (words)mask;
  return ((w[0] | w[1]) | (w[2] | w[3]) | (w[4] | w[5]) | (w[6] | w[7])) != 0;
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

#include <emend/heads/simd/kernels.ipp>

}  // namespace emend::detail::avx512

#undef EMEND_TARGET
#undef EMEND_INLINE
#undef EMEND_INLINE_LAMBDA
#undef EMEND_BYTES

#endif
