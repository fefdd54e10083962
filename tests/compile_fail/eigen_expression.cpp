// message: evaluate an expression with \.eval\(\) first
#include <emend/eigen.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

void use(const Eigen::MatrixXf& hidden, const Eigen::MatrixXf& weight, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::evaluate(emend::cross_entropy{}, (hidden * weight).eval(), targets);
#else
  emend::evaluate(emend::cross_entropy{}, hidden * weight, targets);
#endif
}
