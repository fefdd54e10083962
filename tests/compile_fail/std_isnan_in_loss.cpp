// message: call emend::exp, emend::min, emend::clamp in it, not the functions of std
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <algorithm>
#include <cmath>

void use(const emend::matrix<float>& scores, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::evaluate_value([](const auto& t) { return emend::select(t.log_prob != t.log_prob, 0.0, t.log_prob); }, scores,
                        targets);
#else
  emend::evaluate_value([](const auto& t) { return (std::isnan(t.log_prob) ? 0.0 * t.log_prob : t.log_prob); }, scores,
                        targets);
#endif
}
