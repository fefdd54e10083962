#pragma once

#include <emend/heads/simd/kernel_prologue.hpp>

#if defined(__x86_64__)

#define EMEND_TARGET __attribute__((target("avx2,fma")))
#define EMEND_INLINE __attribute__((always_inline)) inline
#define EMEND_INLINE_LAMBDA __attribute__((always_inline))
#define EMEND_BYTES 32

namespace emend::detail::avx2 {

inline constexpr int row_unroll = 2;  // more would spill the sixteen registers
inline constexpr int gemm_rows = 6;

typedef float float_register __attribute__((vector_size(32)));

template <class A>
inline constexpr bool can_stream = std::is_same_v<A, float>;

EMEND_TARGET EMEND_INLINE void stream(float* out, float_register x) {
#if defined(__clang__)
  __builtin_nontemporal_store(x, reinterpret_cast<float_register*>(out));
#else
  __builtin_ia32_movntps256(out, x);
#endif
}

template <class M>
EMEND_TARGET EMEND_INLINE bool is_any(const M& mask) {
  return __builtin_ia32_movmskps256((float_register)mask) != 0;
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

#include <emend/heads/simd/kernels.ipp>

}  // namespace emend::detail::avx2

#undef EMEND_TARGET
#undef EMEND_INLINE
#undef EMEND_INLINE_LAMBDA
#undef EMEND_BYTES

#endif
