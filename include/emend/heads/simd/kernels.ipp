// The row kernels, written once. Each instruction set includes this file in a namespace of its own, after defining
// EMEND_TARGET (its function attribute), EMEND_BYTES (its register width) and the few operations that differ.

#include <emend/heads/simd/registers.ipp>
#include <emend/heads/simd/block_sums.ipp>
#include <emend/heads/simd/rows.ipp>
#include <emend/heads/simd/columns.ipp>
#include <emend/heads/simd/products.ipp>
#include <emend/heads/simd/divergences.ipp>
