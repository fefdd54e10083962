#pragma once

#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/core/layout.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/kl_estimators.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/structure/edit_script.hpp>

namespace emend {

/// Options of `rlmec_rewards` and `rlmec_loss`.
struct rlmec_options {
  double centre = 0.5;        ///< a token of this probability earns 0
  double correct_high = 0.5;  ///< rewards of a correct solution lie in [0, correct_high]
  double wrong_low = -0.1;    ///< those of a wrong one in [wrong_low, 0]
  double clip_low = 0.2, clip_high = 0.2;
  double edited_weight = 1;   ///< weight of the rewrite's edited tokens
  double other_weight = 0.5;  ///< of its other ones
  double rewrite_coefficient = 1;
  double tokens = 0, rewrite_tokens = 0;  ///< of the whole batch, under the two means; 0: count these
};

/// Token rewards from a reward model that was trained to rewrite a solution with few edits: how probable it finds each
/// token of the solution itself.
///   r_t = clamp(p_t - centre, 0, correct_high) of a correct solution, clamp(p_t - centre, wrong_low, 0) of a wrong one
/// log_prob: [layout.tokens()], of the given tokens under that model; is_correct: [B]. 0 where a token is not counted.
/// Throws std::invalid_argument on a length that does not fit. Chen et al. 2024 (RLMEC), arXiv 2401.06081.
template <layout_argument L>
std::vector<double> rlmec_rewards(column log_prob, column is_correct, const L& layout,
                                  const rlmec_options& options = {}) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::require_length("is_correct", is_correct.size(), layout.sequences());
  detail::require_not_negative("correct_high", options.correct_high);
  if (!(options.wrong_low <= 0)) detail::fail("wrong_low", "a number up to 0", std::to_string(options.wrong_low));
  std::vector<double> reward(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    const double low = is_correct[b] != 0 ? 0 : options.wrong_low, high = is_correct[b] != 0 ? options.correct_high : 0;
    layout.for_each_token(b, [&](index t) {
      reward[static_cast<std::size_t>(t)] = emend::clamp(emend::exp(log_prob[t]) - options.centre, low, high);
    });
  }
  return reward;
}

/// Weight of each token of the rewrites, for `cross_entropy` on score rows: edited or other, divided by their number.
/// is_edited: [M], not 0 where the token is new (`edited_tokens`).
inline std::vector<double> rlmec_rewrite_weights(column is_edited, const rlmec_options& options = {}) {
  detail::require_not_negative("rewrite_tokens", options.rewrite_tokens);
  std::vector<double> weight(static_cast<std::size_t>(is_edited.size()));
  const double tokens = options.rewrite_tokens > 0 ? options.rewrite_tokens : static_cast<double>(is_edited.size());
  for (index t = 0; t < is_edited.size(); ++t)
    weight[static_cast<std::size_t>(t)] = (is_edited[t] != 0 ? options.edited_weight : options.other_weight) / tokens;
  return weight;
}

/// What `rlmec_loss` returns: value = token_loss + rewrite_coefficient rewrite_loss, and its derivatives.
struct rlmec_loss_result {
  double value = 0, token_loss = 0, rewrite_loss = 0;
  std::vector<double> log_prob_gradient, rewrite_gradient;
};

/// The training loss: the clipped surrogate with the rewards as advantages, and the rewrite's likelihood.
///   token_loss   = -mean_t min(rho_t r_t, clamp(rho_t, 1 - clip_low, 1 + clip_high) r_t)
///   rewrite_loss = mean_t w_t (-rewrite_log_prob_t)
/// log_prob, old_log_prob, reward: [N]; rewrite_log_prob, is_edited: [M]. On score rows, `ppo_clip` and `cross_entropy`
/// with `rlmec_rewrite_weights` are the same. Throws std::invalid_argument on a length that does not fit.
inline rlmec_loss_result rlmec_loss(column log_prob, column old_log_prob, column reward, column rewrite_log_prob,
                                    column is_edited, const rlmec_options& options = {}) {
  detail::require_length("old_log_prob", old_log_prob.size(), log_prob.size());
  detail::require_length("reward", reward.size(), log_prob.size());
  detail::require_length("is_edited", is_edited.size(), rewrite_log_prob.size());
  detail::require_not_negative("tokens", options.tokens);
  rlmec_loss_result result;
  if (!log_prob.empty()) {
    const double tokens = options.tokens > 0 ? options.tokens : static_cast<double>(log_prob.size());
    number_evaluation of_tokens = evaluate_log_probs(
        ppo_clip{old_log_prob, reward, options.clip_low, options.clip_high}, log_prob, {.normaliser = tokens});
    result.token_loss = of_tokens.value;
    result.log_prob_gradient = std::move(of_tokens.gradient);
  }
  const std::vector<double> weight = rlmec_rewrite_weights(is_edited, options);
  number_evaluation of_rewrite = evaluate_log_probs(cross_entropy{}, rewrite_log_prob, {.weight = weight});
  result.rewrite_loss = of_rewrite.value;
  result.rewrite_gradient = std::move(of_rewrite.gradient);
  for (double& g : result.rewrite_gradient) g = detail::scaled_or_zero(options.rewrite_coefficient, g);
  result.value = result.token_loss + detail::scaled_or_zero(options.rewrite_coefficient, result.rewrite_loss);
  return result;
}

}  // namespace emend
