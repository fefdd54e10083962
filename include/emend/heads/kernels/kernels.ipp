// The kernels over rows of scores. simd/each_set.ipp includes this file once for every instruction set.

#include <emend/heads/kernels/block_sums.ipp>
#include <emend/heads/kernels/rows.ipp>
#include <emend/heads/kernels/columns.ipp>
#include <emend/heads/kernels/products.ipp>
#include <emend/heads/kernels/divergences.ipp>
#include <emend/heads/kernels/tables.ipp>
