// message: what is written to must outlive the call
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <vector>

void use(const emend::matrix<float>& scores, const std::vector<int>& targets) {
#ifdef REPAIRED
  std::vector<float> per_token(targets.size());
  emend::evaluate_value(emend::cross_entropy{}, scores, targets, {.per_token = per_token});
#else
  emend::evaluate_value(emend::cross_entropy{}, scores, targets, {.per_token = std::vector<float>(targets.size())});
#endif
}
