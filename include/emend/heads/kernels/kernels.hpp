#pragma once

#include <emend/heads/kernels/kernel_tables.hpp>
#include <emend/simd/instruction_set.hpp>

#define EMEND_KERNELS <emend/heads/kernels/kernels.ipp>
#include <emend/simd/each_set.ipp>
#undef EMEND_KERNELS

namespace emend::detail {

/// The kernels of the wanted set, but of none beyond the set of the process.
template <class T>
const row_kernels<T>& kernels_for(instruction_set wanted) {
  return *of_set<const row_kernels<T>*>(wanted, &portable::row_table<T>, &neon::row_table<T>, &avx2::row_table<T>,
                                        &avx512::row_table<T>);
}
template <class T>
const divergence_kernels<T>& divergence_kernels_for(instruction_set wanted) {
  return *of_set<const divergence_kernels<T>*>(wanted, &portable::divergence_table<T>, &neon::divergence_table<T>,
                                               &avx2::divergence_table<T>, &avx512::divergence_table<T>);
}
template <class A>
multiply_add_kernel<A> multiply_add_for(instruction_set wanted) {
  return of_set<multiply_add_kernel<A>>(wanted, portable::multiply_add<A>, neon::multiply_add<A>, avx2::multiply_add<A>,
                                        avx512::multiply_add<A>);
}

#if defined(EMEND_COMPILED_KERNELS)
// In kernels.cpp.
extern template const row_kernels<float>& kernels_for<float>(instruction_set);
extern template const row_kernels<double>& kernels_for<double>(instruction_set);
extern template const row_kernels<bfloat16>& kernels_for<bfloat16>(instruction_set);
extern template const row_kernels<float16>& kernels_for<float16>(instruction_set);
extern template multiply_add_kernel<float> multiply_add_for<float>(instruction_set);
extern template multiply_add_kernel<double> multiply_add_for<double>(instruction_set);
extern template const divergence_kernels<float>& divergence_kernels_for<float>(instruction_set);
extern template const divergence_kernels<double>& divergence_kernels_for<double>(instruction_set);
extern template const divergence_kernels<bfloat16>& divergence_kernels_for<bfloat16>(instruction_set);
extern template const divergence_kernels<float16>& divergence_kernels_for<float16>(instruction_set);
#endif

}  // namespace emend::detail
