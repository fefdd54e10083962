#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend {

/// Options of `rto_scores`; defaults of the paper's code.
struct rto_options {
  double scale = 0.05;  ///< beta_1
  double clip = 0.05;   ///< infinity: none
};

/// Reinforced token optimisation: the token-level reward that a DPO-trained policy stands for.
///   s_t = clamp(scale (dpo_log_prob_t - reference_log_prob_t), +-clip)
/// dpo_log_prob, reference_log_prob: [layout.tokens()]. As the score of `token_rewards`, with kl_coefficient beta_2
/// (0.01) and the sequence's reward at the end, it is the paper's r_t. Throws std::invalid_argument on a length that
/// does not fit, or if clip is not above 0. Zhong et al. 2024, arXiv 2404.18922.
template <layout_argument L>
std::vector<double> rto_scores(column dpo_log_prob, column reference_log_prob, const L& layout,
                               const rto_options& options = {}) {
  detail::require_length("dpo_log_prob", dpo_log_prob.size(), layout.tokens());
  detail::require_length("reference_log_prob", reference_log_prob.size(), layout.tokens());
  detail::require_bound("clip", options.clip);
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      result[static_cast<std::size_t>(t)] = emend::clamp(
          detail::scaled_or_zero(options.scale, detail::log_ratio_between(dpo_log_prob[t], reference_log_prob[t])),
          -options.clip, options.clip);
    });
  return result;
}

}  // namespace emend
