// Advanced SIMD of 64-bit Arm, which every such processor has: see each_set.ipp.

#if defined(__aarch64__)

#include <arm_neon.h>

#define EMEND_TARGET
#define EMEND_INLINE __attribute__((always_inline)) inline
#define EMEND_INLINE_LAMBDA __attribute__((always_inline))
#define EMEND_BYTES 16

namespace emend::detail::neon {

#include <emend/simd/sets/neon_operations.ipp>

#include EMEND_KERNELS

}  // namespace emend::detail::neon

#undef EMEND_TARGET
#undef EMEND_INLINE
#undef EMEND_INLINE_LAMBDA
#undef EMEND_BYTES

#else

namespace emend::detail {
namespace neon = portable;
}  // namespace emend::detail

#endif
