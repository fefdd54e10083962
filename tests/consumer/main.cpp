#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/version.hpp>
#ifdef WITH_eigen
#include <emend/eigen.hpp>
#endif
#ifdef WITH_xtensor
#include <emend/xtensor.hpp>
#endif
#ifdef WITH_dlpack
#include <emend/dlpack.hpp>
#endif
#ifdef WITH_libtorch
#include <emend/libtorch.hpp>

#include <ATen/ops/zeros.h>
#endif

#include <cmath>
#include <vector>

/// Two rows of equal scores over four ids.
template <class X>
bool is_right(const X& scores) {
  emend::thread_pool pool(2);
  const auto result = emend::evaluate(emend::cross_entropy{}, scores, std::vector{0, 3}, {.normaliser = 2}, pool);
  return std::abs(result.value - std::log(4.0)) < 1e-12;
}

int main() {
  bool are_right = emend::version_major >= 0 && is_right(emend::matrix<float>(2, 4));
#ifdef WITH_eigen
  const Eigen::MatrixXf of_eigen = Eigen::MatrixXf::Zero(2, 4);
  are_right = are_right && is_right(of_eigen);
#endif
#ifdef WITH_xtensor
  const xt::xtensor<float, 2> of_xtensor = xt::zeros<float>({2, 4});
  are_right = are_right && is_right(of_xtensor);
#endif
#ifdef WITH_dlpack
  const std::int64_t shape[] = {2, 4};
  emend::dlpack_tensor of_dlpack(shape, {kDLFloat, 32, 1});
  for (int i = 0; i < 8; ++i) static_cast<float*>(of_dlpack.tensor().data)[i] = 0;
  are_right = are_right && is_right(of_dlpack);
#endif
#ifdef WITH_libtorch
  const at::Tensor of_libtorch = at::zeros({2, 4}).requires_grad_(),
                   targets = at::zeros({2}, at::TensorOptions().dtype(at::kLong));
  are_right = are_right && is_right(of_libtorch);
  emend::loss(emend::cross_entropy{}, of_libtorch, targets).backward();
  are_right = are_right && std::abs(of_libtorch.grad()[1][0].item().toDouble() + 0.75) < 1e-6;
#endif
  return are_right ? 0 : 1;
}
