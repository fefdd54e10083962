// Includes EMEND_KERNELS, a header name, once for every instruction set, in the namespace emend::detail::SET. Kernels
// are templates that mark their functions with EMEND_TARGET (the attribute of the set) and EMEND_INLINE, and are
// written for the registers that registers.ipp defines and the few operations that differ from set to set
// (sets/SET.ipp).
//
//   #define EMEND_KERNELS <folder/kernels.ipp>
//   #include <emend/simd/each_set.ipp>
//   #undef EMEND_KERNELS
//
// Where the target lacks a set, its namespace is another name of `portable`.

#include <emend/base/storage.hpp>

#include <array>
#include <cstdint>
#include <type_traits>

#include <emend/simd/sets/portable.ipp>

#include <emend/simd/sets/neon.ipp>

#include <emend/simd/sets/avx2.ipp>

#include <emend/simd/sets/avx512.ipp>
