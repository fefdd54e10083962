// Sixteen bytes without any set of instructions: see each_set.ipp.

#define EMEND_TARGET
#define EMEND_INLINE __attribute__((always_inline)) inline
#define EMEND_INLINE_LAMBDA __attribute__((always_inline))
#define EMEND_BYTES 16

/// Sixteen-byte vectors without any instruction set's own operations: what every target of GCC and Clang has.
namespace emend::detail::portable {

#include <emend/simd/sets/portable_operations.ipp>

#include EMEND_KERNELS

}  // namespace emend::detail::portable

#undef EMEND_TARGET
#undef EMEND_INLINE
#undef EMEND_INLINE_LAMBDA
#undef EMEND_BYTES
