// The kernels over rows of scores. simd/each_set.ipp includes this file once for every instruction set.

#include <emend/heads/kernels/block_sums.ipp>
#include <emend/heads/kernels/powers.ipp>
#include <emend/heads/kernels/gradients.ipp>
#include <emend/heads/kernels/saved_gradients.ipp>
#include <emend/heads/kernels/row_sums.ipp>
#include <emend/heads/kernels/row_gradients.ipp>
#include <emend/heads/kernels/saved_sums.ipp>
#include <emend/heads/kernels/soft_cap.ipp>
#include <emend/heads/kernels/columns.ipp>
#include <emend/heads/kernels/products.ipp>
#include <emend/heads/kernels/pair_sums.ipp>
#include <emend/heads/kernels/mixture_sums.ipp>
#include <emend/heads/kernels/pair_gradients.ipp>
#include <emend/heads/kernels/tables.ipp>
