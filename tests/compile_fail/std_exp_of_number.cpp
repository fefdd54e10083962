// message: call emend::exp, emend::min, emend::clamp in it, not the functions of std
#include <emend/evaluation/evaluate_numbers.hpp>

#include <cmath>

auto use(const std::vector<double>& log_prob) {
#ifdef REPAIRED
  return emend::evaluate_log_probs([](const auto& t) { return emend::exp(t.log_prob); }, log_prob);
#else
  return emend::evaluate_log_probs([](const auto& t) { return std::exp(t.log_prob); }, log_prob);
#endif
}
