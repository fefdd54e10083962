// AVX2, FMA and F16C: see each_set.ipp.

#if defined(__x86_64__)

#define EMEND_TARGET __attribute__((target("avx2,fma,f16c")))
#define EMEND_INLINE __attribute__((always_inline)) inline
#define EMEND_INLINE_LAMBDA __attribute__((always_inline))
#define EMEND_BYTES 32

namespace emend::detail::avx2 {

#include <emend/simd/sets/avx2_operations.ipp>

#include EMEND_KERNELS

}  // namespace emend::detail::avx2

#undef EMEND_TARGET
#undef EMEND_INLINE
#undef EMEND_INLINE_LAMBDA
#undef EMEND_BYTES

#else

namespace emend::detail {
namespace avx2 = portable;
}  // namespace emend::detail

#endif
