// AVX-512 F, DQ, BW and VL: see each_set.ipp.

#if defined(__x86_64__)

#define EMEND_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c")))
#define EMEND_INLINE __attribute__((always_inline)) inline
#define EMEND_INLINE_LAMBDA __attribute__((always_inline))
#define EMEND_BYTES 64

namespace emend::detail::avx512 {

#include <emend/simd/sets/avx512_operations.ipp>

#include EMEND_KERNELS

}  // namespace emend::detail::avx512

#undef EMEND_TARGET
#undef EMEND_INLINE
#undef EMEND_INLINE_LAMBDA
#undef EMEND_BYTES

#else

namespace emend::detail {
namespace avx512 = portable;
}  // namespace emend::detail

#endif
