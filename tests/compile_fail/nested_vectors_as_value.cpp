// message: this type is not known to hold scores
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/cross_entropy.hpp>

#ifdef REPAIRED
using block = emend::matrix<float>;
#else
using block = std::vector<std::vector<float>>;
#endif

void use(const block& scores, const std::vector<int>& targets, emend::matrix<float>& gradient) {
  emend::evaluate_value(emend::cross_entropy{}, scores, targets);
  emend::evaluate_into(emend::cross_entropy{}, scores, targets, {}, gradient);
  emend::statistics(scores, targets);
}
