// message: this type is not known to hold scores
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

void use(const std::vector<std::vector<float>>& rows, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::matrix<float> scores(static_cast<emend::index>(rows.size()), static_cast<emend::index>(rows[0].size()));
#else
  const auto& scores = rows;
#endif
  emend::evaluate(emend::cross_entropy{}, scores, targets);
}
