// message: call emend::exp, emend::min, emend::clamp in it, not the functions of std
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <algorithm>
#include <cmath>

void use(const emend::matrix<float>& scores, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::evaluate_value([](const auto& t) { return emend::pow(t.log_prob, 2.0); }, scores, targets);
#else
  emend::evaluate_value([](const auto& t) { return std::pow(t.log_prob, 2.0); }, scores, targets);
#endif
}
