#pragma once

#include <emend/off_policy/log_ratio.hpp>

namespace emend {

/// Which sequences to learn from: those with an advantage not below 0, and those that the policy has not left.
///   kept_b = A_b >= 0  or  (1 / T_b) sum_t (behaviour_log_prob_t - log_prob_t) <= threshold             [nats]
/// log_prob, behaviour_log_prob: [layout.tokens()]; advantage: [layout.sequences()]. Returns 1 or 0 a sequence. A
/// missing behaviour log-probability (NaN) adds 0; a sequence without counted tokens has the mean 0. A NaN mean is not
/// kept. Throws std::invalid_argument on a length that does not fit. Cost: one pass over two numbers a token.
/// off_policy_mask_threshold of TRL's GRPO; DeepSeek-V3.2.
template <layout_argument L>
std::vector<double> off_policy_sequence_mask(column log_prob, column behaviour_log_prob, column advantage,
                                             const L& layout, double threshold) {
  const detail::log_ratio_source ratio(log_prob, behaviour_log_prob, layout.tokens());
  detail::require_length("advantage", advantage.size(), layout.sequences());
  if (threshold != threshold) detail::fail("threshold", "a number", "NaN");
  std::vector<double> kept(static_cast<std::size_t>(layout.sequences()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double sum = 0;
    index length = 0;
    layout.for_each_token(b, [&](index t) {
      sum -= ratio(t);
      ++length;
    });
    const double mean = sum / static_cast<double>(length > 0 ? length : 1);
    kept[static_cast<std::size_t>(b)] = advantage[b] >= 0 || mean <= threshold;
  }
  return kept;
}

}  // namespace emend
