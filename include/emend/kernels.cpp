// The kernels over rows of scores, for a program whose sources are compiled with EMEND_COMPILED_KERNELS: one source of
// it in place of all that evaluate something. CMake's target emend::kernels adds this file and the definition;
// elsewhere do the same by hand.

#include <emend/heads/kernels/kernels.hpp>

namespace emend::detail {

template const row_kernels<float>& kernels_for<float>(instruction_set);
template const row_kernels<double>& kernels_for<double>(instruction_set);
template const row_kernels<bfloat16>& kernels_for<bfloat16>(instruction_set);
template const row_kernels<float16>& kernels_for<float16>(instruction_set);
template multiply_add_kernel<float> multiply_add_for<float>(instruction_set);
template multiply_add_kernel<double> multiply_add_for<double>(instruction_set);
template const divergence_kernels<float>& divergence_kernels_for<float>(instruction_set);
template const divergence_kernels<double>& divergence_kernels_for<double>(instruction_set);
template const divergence_kernels<bfloat16>& divergence_kernels_for<bfloat16>(instruction_set);
template const divergence_kernels<float16>& divergence_kernels_for<float16>(instruction_set);

}  // namespace emend::detail
