#pragma once

#include <emend/core/layout.hpp>
#include <emend/evaluation/evaluate_numbers.hpp>

namespace emend {

/// Value and gradient of a sequence-level loss over log-probabilities that somebody else's network gave.
///   S_b = sum_{t in b} summand(token_t),   value = (1 / normaliser) sum_b sum_{t in b} weight_t loss(token_t, S_b,
///   T_b)
/// loss: as `sequence_loss`, called with dual numbers over (log_prob, S_b); log_prob: [N]; layout: over the N tokens.
/// Tokens outside the layout or the mask are not evaluated and do not enter S_b or T_b; the token's other statistics
/// read as NaN. Throws std::invalid_argument on a length that does not fit.
template <class Loss, layout_argument L>
log_prob_evaluation<Loss> evaluate_log_prob_sequences(const Loss& loss, column log_prob, const L& layout,
                                                      const number_options& options = {}) {
  using number_type = dual<double, 2>;
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::check_numbers(options, log_prob.size());
  if constexpr (requires { loss.check(log_prob.size()); }) loss.check(log_prob.size());
  log_prob_evaluation<Loss> result;
  result.gradient.assign(static_cast<std::size_t>(log_prob.size()), 0);
  std::vector<index> members;
  for (index b = 0; b < layout.sequences(); ++b) {
    members.clear();
    layout.for_each_token(b, [&](index t) {
      if (!options.mask.is_given() || options.mask[t] != 0) members.push_back(t);
    });
    const auto length = static_cast<index>(members.size());
    const auto variable = [&](index t) { return detail::token_of_log_prob(number_type::variable(log_prob[t], 0), t); };
    double summary = 0, summary_slope = 0;
    for (index t : members) summary += loss.summand(detail::token_of_log_prob(log_prob[t], t));
    for (index t : members) {
      // Every token has a say in its sequence's summary, whatever its own weight.
      const double factor = detail::factor_of(options, t);
      if (factor == 0) continue;
      const number_type value = loss(variable(t), number_type::variable(summary, 1), length);
      result.value += factor * value.value;
      ++result.evaluated;
      if constexpr (detail::has_sequence_metrics<Loss>) {
        const auto metrics = loss.metrics(detail::token_of_log_prob(log_prob[t], t), summary, length);
        for (std::size_t k = 0; k < metrics.size(); ++k) result.metrics[k] += metrics[k];
      }
      if (value.derivative[0] != 0) result.gradient[static_cast<std::size_t>(t)] += factor * value.derivative[0];
      if (value.derivative[1] != 0) summary_slope += factor * value.derivative[1];
    }
    if (summary_slope == 0) continue;
    for (index t : members) {
      const number_type part = loss.summand(variable(t));
      if (part.derivative[0] != 0) result.gradient[static_cast<std::size_t>(t)] += summary_slope * part.derivative[0];
    }
  }
  for (double& metric : result.metrics) metric /= static_cast<double>(result.evaluated > 0 ? result.evaluated : 1);
  return result;
}

}  // namespace emend
