// message: a loss must be callable on token<double> and on token<token_dual>; write it as a generic lambda
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>

void use(const emend::matrix<float>& scores, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::evaluate([](const auto& t) { return -emend::exp(t.log_prob); }, scores, targets);
#else
  emend::evaluate([](const emend::token<double>& t) { return -emend::exp(t.log_prob); }, scores, targets);
#endif
}
