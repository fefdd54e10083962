// message: this type is not known to hold scores
#include <emend/eigen.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

void use(const Eigen::MatrixXi& counts, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::evaluate(emend::cross_entropy{}, counts.cast<float>().eval(), targets);
#else
  emend::evaluate(emend::cross_entropy{}, counts, targets);
#endif
}
