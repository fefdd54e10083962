// message: (no matching function for call to .*evaluate_into|constraints not satisfied)
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

void use(const emend::matrix<float>& scores, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::matrix<float> gradient(scores.rows(), scores.columns());
#else
  std::vector<float> gradient(static_cast<std::size_t>(scores.rows() * scores.columns()));
#endif
  emend::evaluate_into(emend::cross_entropy{}, scores, targets, {}, gradient);
}
