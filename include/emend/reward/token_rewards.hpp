#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>
#include <emend/heads/row_sums.hpp>

namespace emend {

/// Options of `token_rewards`.
struct token_reward_options {
  double score_scale = 1;
  double kl_coefficient = 0.02;   ///< align-anything's default
  double scalar_scale = 0;        ///< weight of scalar_reward at the last token
  column scalar_reward = {};      ///< [B]
  double clamp = detail::infinity;  ///< bound of |reward|, applied after the KL term (align-anything: 50)
};

/// The reward of every token for PPO: a token-level score, less the divergence from the reference, plus a scalar reward
/// at the end of the sequence.
///   r_t = score_scale s_t - kl_coefficient (old_log_prob_t - reference_log_prob_t) + [t last] scalar_scale R, clamped
/// score, old_log_prob, reference_log_prob: [layout.tokens()]; scalar_reward: [B] or empty. Uncounted tokens get 0.
/// Throws std::invalid_argument on a length that does not fit.
template <sequence_layout L>
std::vector<double> token_rewards(column score, column old_log_prob, column reference_log_prob, const L& layout,
                                  const token_reward_options& options = {}) {
  detail::require_length("score", score.size(), layout.tokens());
  detail::require_length("old_log_prob", old_log_prob.size(), layout.tokens());
  detail::require_length("reference_log_prob", reference_log_prob.size(), layout.tokens());
  if (!options.scalar_reward.empty()) detail::require_length("scalar_reward", options.scalar_reward.size(), layout.sequences());
  detail::require_positive("clamp", options.clamp == detail::infinity ? 1 : options.clamp);
  std::vector<double> reward(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    index last = -1;
    layout.for_each_token(b, [&](index t) {
      reward[static_cast<std::size_t>(t)] =
          options.score_scale * score[t] - options.kl_coefficient * (old_log_prob[t] - reference_log_prob[t]);
      last = t;
    });
    if (last >= 0 && !options.scalar_reward.empty())
      reward[static_cast<std::size_t>(last)] += options.scalar_scale * options.scalar_reward[b];
    layout.for_each_token(b, [&](index t) {
      double& r = reward[static_cast<std::size_t>(t)];
      r = emend::clamp(r, -options.clamp, options.clamp);
    });
  }
  return reward;
}

}  // namespace emend
