// message: ids must be of an integer type; convert them first
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

void use(const emend::matrix<float>& scores, const std::vector<float>& ids) {
#ifdef REPAIRED
  const std::vector<int> targets(ids.begin(), ids.end());
#else
  const auto& targets = ids;
#endif
  emend::evaluate(emend::cross_entropy{}, scores, targets);
}
