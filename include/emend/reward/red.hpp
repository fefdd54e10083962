#pragma once

#include <emend/core/layout.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend {

/// Options of `red_rewards`.
struct red_options {
  double dense_weight = 1;  ///< in [0, 1]: 1 differences alone, 0 the sequence's score at its end
};

/// Reward redistribution: by how much each token changes the score of the response so far.
///   r_t = dense_weight (R_t - R_{t-1}) + (1 - dense_weight) [t last] R_T,   R_0 the score of the empty response
/// prefix_score: [layout.tokens()], the reward model's score up to and with each token; empty_score: [B]. The
/// differences add up to R_T - R_0. Throws std::invalid_argument on a length that does not fit. Li et al. 2024 (RED),
/// arXiv 2411.08302.
template <layout_argument L>
std::vector<double> red_rewards(column prefix_score, column empty_score, const L& layout,
                                const red_options& options = {}) {
  detail::require_length("prefix_score", prefix_score.size(), layout.tokens());
  detail::require_length("empty_score", empty_score.size(), layout.sequences());
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double before = empty_score[b];
    index last = -1;
    layout.for_each_token(b, [&](index t) {
      result[static_cast<std::size_t>(t)] = detail::scaled_or_zero(options.dense_weight, prefix_score[t] - before);
      before = prefix_score[t];
      last = t;
    });
    if (last >= 0)
      result[static_cast<std::size_t>(last)] += detail::scaled_or_zero(1 - options.dense_weight, prefix_score[last]);
  }
  return result;
}

}  // namespace emend
