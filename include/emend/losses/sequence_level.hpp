#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// How the log-ratio of a sequence comes from those of its tokens: their mean (GSPO) or their sum (RLOO, the true
/// ratio).
enum class sequence_ratio { mean, sum };

/// Where the gradient of a sequence's ratio goes.
///   sequence  to every token of the sequence, the exact derivative (TRL, OpenRLHF, NeMo, AReaL, Liger; RLOO)
///   token     to the token's own log-probability, the rest held constant: sg[s] pi / sg[pi] (GSPO-token; verl's GSPO).
///             The same where all tokens of a sequence have one advantage and one weight.
enum class ratio_gradient { sequence, token };

/// Any policy loss with the ratio of its sequence in place of the token's; for `evaluate_sequences`.
///   log s_b = (1 / T_b) sum_t (log_prob_t - old_log_prob_t)   or the sum,      loss_t = surrogate(log s_b, log_prob_t,
///   A_t)
/// GSPO: `sequence_level<ppo_clip>{{old_log_prob, advantage, 3e-4, 4e-4}}`, aggregated by per_example_mean (Zheng et
/// al. 2025, eq. 5); GSPO-token with .gradient = ratio_gradient::token (eq. 13). RLOO's clipped loss: .ratio =
/// sequence_ratio::sum. Metrics as the loss's own, of the sequence's ratio. Throws std::invalid_argument as the loss
/// does.
template <policy_loss Loss>
struct sequence_level {
  Loss loss;
  sequence_ratio ratio = sequence_ratio::mean;
  ratio_gradient gradient = ratio_gradient::sequence;
  double log_ratio_cap = detail::infinity;  ///< upper bound of log s: 10 in verl, none elsewhere
  double length_epsilon = 0;                ///< added to T_b in the mean: 1e-8 in NeMo

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;

  void check(index n) const {
    loss.check(n);
    detail::require_not_negative("length_epsilon", length_epsilon);
    if (log_ratio_cap != log_ratio_cap) detail::fail("log_ratio_cap", "a number, or infinity for none", "NaN");
  }

  template <class R>
  R summand(const token<R>& t) const {
    return detail::log_ratio_at(t, loss.old_log_prob);
  }

  template <class R, class Length>
  R operator()(const token<R>& t, const R& summary, const Length& length) const {
    return loss.surrogate(log_ratio_of(t.log_prob, summary, length), t.log_prob, t.number(loss.advantage));
  }

  template <class R, class Length>
  std::array<R, 5> metrics(const token<R>& t, const R& summary, const Length& length) const {
    return detail::policy_metrics(loss, t, log_ratio_of(t.log_prob, summary, length));
  }

  /// The sequence's log-ratio as the surrogate sees it.
  template <class R, class Length>
  R log_ratio_of(const R& log_prob, const R& summary, const Length& length) const {
    R log_ratio = ratio == sequence_ratio::mean ? summary / (as_number(length) + length_epsilon) : summary;
    if (gradient == ratio_gradient::token)
      log_ratio = emend::detach(log_ratio) + detail::log_ratio_between(log_prob, R(emend::detach(log_prob)));
    return emend::clamp(log_ratio, -detail::infinity, log_ratio_cap);
  }
};

}  // namespace emend
