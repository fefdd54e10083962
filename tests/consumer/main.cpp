#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/version.hpp>
#ifdef WITH_eigen
#include <emend/eigen.hpp>
#endif

#include <cmath>
#include <vector>

int main() {
#ifdef WITH_eigen
  const Eigen::MatrixXf scores = Eigen::MatrixXf::Zero(2, 4);
#else
  const emend::matrix<float> scores(2, 4);
#endif
  emend::thread_pool pool(2);
  const auto result = emend::evaluate(emend::cross_entropy{}, scores, std::vector{0, 3}, {.normaliser = 2}, pool);
  return std::abs(result.value - std::log(4.0)) < 1e-12 && emend::version_major >= 0 ? 0 : 1;
}
