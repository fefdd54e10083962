#pragma once

#include <emend/core/layout.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend {

/// Options of `token_rewards`.
struct token_reward_options {
  double score_scale = 1;
  double kl_coefficient = 0.02;    ///< align-anything's default
  double scalar_scale = 0;         ///< weight of scalar_reward; not 0 where that is given
  column scalar_reward = {};       ///< [B] one reward for a whole sequence
  double clamp = __builtin_inf();  ///< bound of |reward|, applied to the sum (align-anything: 50)
  kl_kind kl = kl_kind::k1;        ///< estimator of the divergence
  kl_clamps kl_bounds = {};        ///< OpenRLHF: output 10; NeMo: input 20, output 10
  double scalar_low =
      -__builtin_inf();  ///< bounds of scalar_reward, applied before the divergence is taken off (OpenRLHF)
  double scalar_high = __builtin_inf();
  id_column scalar_position = {};  ///< [B] where scalar_reward stands, -1: nowhere; empty: at the last counted token
};

namespace detail {

template <layout_argument L>
void check(const token_reward_options& options, const column& score, const column& old_log_prob,
           const column& reference_log_prob, const L& layout) {
  if (score.is_given()) require_length("score", score.size(), layout.tokens());
  if (old_log_prob.is_given() || reference_log_prob.is_given()) {
    require_length("old_log_prob", old_log_prob.size(), layout.tokens());
    require_length("reference_log_prob", reference_log_prob.size(), layout.tokens());
    check(options.kl_bounds, "kl_bounds.input", "kl_bounds.output");
  }
  if (options.scalar_reward.is_given())
    require_length("scalar_reward", options.scalar_reward.size(), layout.sequences());
  if (options.scalar_position.is_given()) {
    require_length("scalar_position", options.scalar_position.size(), layout.sequences());
    if (!options.scalar_reward.is_given() && layout.sequences() > 0)
      fail("scalar_reward", std::to_string(layout.sequences()) + " entries, since scalar_position is given", "none");
  }
  if (options.scalar_reward.is_given() && options.scalar_scale == 0)
    fail("scalar_scale", "a number other than 0, since scalar_reward is given", "0");
  require_bound("clamp", options.clamp);
  if (!(options.scalar_low <= options.scalar_high))
    fail("scalar_low", "a number up to scalar_high", std::to_string(options.scalar_low));
}

}  // namespace detail

/// Where a sequence-level reward stands, by the convention of the last counted token: OpenRLHF, align-anything, NeMo,
/// verl; NeMo-Aligner's "length - 2" is the last token that has a log-probability. [B], -1 for a sequence without
/// tokens.
template <layout_argument L>
std::vector<index> last_positions(const L& layout) {
  std::vector<index> result(static_cast<std::size_t>(layout.sequences()), -1);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { result[static_cast<std::size_t>(b)] = t; });
  return result;
}

/// The convention of the position after it, or the last one of a row that is full: TRL. [B], -1 for a sequence without
/// tokens. Its advantages then see the reward through gamma lambda.
template <detail::contiguous_layout L>
std::vector<index> positions_after_last(const L& layout) {
  std::vector<index> result = last_positions(layout);
  for (index b = 0; b < layout.sequences(); ++b)
    if (index& t = result[static_cast<std::size_t>(b)]; t >= 0 && t + 1 < layout.last(b)) ++t;
  return result;
}

/// The reward of every token for PPO: a token-level score, less the divergence from the reference, plus a reward for
/// the whole sequence at one of its positions.
///   r_t = score_scale s_t - kl_coefficient k(old_log_prob_t - reference_log_prob_t)
///         + [t = scalar_position] scalar_scale clamp(R, scalar_low, scalar_high),          clamped to +-clamp
/// score: [layout.tokens()] or empty; old_log_prob, reference_log_prob: [layout.tokens()], both empty: no divergence;
/// scalar_reward: [B] or empty. Uncounted tokens get 0, but for R where scalar_position names one; a sequence without
/// tokens gets R nowhere unless it does (OpenRLHF puts it on the padding, align-anything raises). A term with the
/// factor 0 is left out, however infinite it is; a token to which both policies give the probability 0 has no
/// divergence. Throws std::invalid_argument on a length or position that does not fit, a scalar_reward without a scale.
/// Cost: one pass.
template <layout_argument L>
std::vector<double> token_rewards(column score, column old_log_prob, column reference_log_prob, const L& layout,
                                  const token_reward_options& options = {}) {
  detail::check(options, score, old_log_prob, reference_log_prob, layout);
  for (index b = 0; b < options.scalar_position.size(); ++b)
    if (options.scalar_position[b] != -1)
      detail::require_position("scalar_position", b, options.scalar_position[b], layout.tokens());
  const bool has_score = score.is_given() && options.score_scale != 0;
  const bool has_reference = old_log_prob.is_given() && options.kl_coefficient != 0;
  const auto clamped = [&](double r) { return emend::clamp(r, -options.clamp, options.clamp); };
  std::vector<double> reward(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    index place = -1;
    layout.for_each_token(b, [&](index t) {
      double r = has_score ? options.score_scale * score[t] : 0;
      if (has_reference)
        r -= options.kl_coefficient * kl_estimate(options.kl,
                                                  detail::log_ratio_between(old_log_prob[t], reference_log_prob[t]),
                                                  options.kl_bounds);
      reward[static_cast<std::size_t>(t)] = r;
      place = t;
    });
    if (options.scalar_position.is_given()) place = options.scalar_position[b];
    if (place >= 0 && options.scalar_reward.is_given()) {
      double& r = reward[static_cast<std::size_t>(place)];
      r = clamped(r + options.scalar_scale *
                          emend::clamp(options.scalar_reward[b], options.scalar_low, options.scalar_high));
    }
    layout.for_each_token(b, [&](index t) {
      double& r = reward[static_cast<std::size_t>(t)];
      r = clamped(r);
    });
  }
  return reward;
}

}  // namespace emend
