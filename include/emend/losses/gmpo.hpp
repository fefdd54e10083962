#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Geometric-mean policy optimisation: the ratio of a sequence is the geometric mean of its clipped token ratios; for
/// `evaluate_sequences`.
///   loss_b = -Abar_b exp((1 / T_b) sum_t c_t),   c_t = min(d_t, clip_high) where A_t > 0, max(d_t, -clip_low) where
///   A_t < 0, 0 where A_t = 0,   d_t = log_prob_t - old_log_prob_t [nats]
/// Every token of the sequence has the sequence's loss: aggregate by per_example_mean, counts_empty_sequences as verl.
/// old_log_prob, advantage: [N]; sequence_advantage: [N] or empty, Abar at each token (`sequence_means` of the
/// advantages), empty where an advantage is the same over its sequence. Throws std::invalid_argument if a length is not
/// N, or an option is below 0. Zhao et al. 2025; verl "geo_mean" (clips 0.4, length_epsilon 1e-8).
struct gmpo {
  column old_log_prob;
  column advantage;
  column sequence_advantage = {};
  double clip_low = 0.4;   ///< in log-ratio
  double clip_high = 0.4;  ///< in log-ratio
  double length_epsilon = 0;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;

  void check(index n) const {
    detail::check_policy(*this, n);
    if (sequence_advantage.is_given()) detail::require_length("sequence_advantage", sequence_advantage.size(), n);
    detail::require_not_negative("clip_low", clip_low);
    detail::require_not_negative("clip_high", clip_high);
    detail::require_not_negative("length_epsilon", length_epsilon);
  }

  template <class R>
  R summand(const token<R>& t) const {
    const R log_ratio = detail::log_ratio_at(t, old_log_prob);
    const auto a = t.number(advantage);
    const R above = emend::clamp(log_ratio, -detail::infinity, clip_high),
            below = emend::clamp(log_ratio, -clip_low, detail::infinity);
    return emend::select(a > 0, above, emend::select(a < 0, below, R(0)));
  }
  template <class R, class Length>
  R operator()(const token<R>& t, const R& summary, const Length& length) const {
    const auto a = t.number(sequence_advantage.is_given() ? sequence_advantage : advantage);
    return emend::select(a == 0, R(0), -a * emend::exp(summary / (as_number(length) + length_epsilon)));
  }

  template <class R, class A>
  decltype(R() < R()) is_clipped(const R& log_ratio, const A& a) const {
    return (a > 0 && log_ratio > clip_high) || (a < 0 && log_ratio < -clip_low);
  }
  template <class R, class Length>
  std::array<R, 5> metrics(const token<R>& t, const R&, const Length&) const {
    return detail::metrics_at_token(*this, t);
  }
};

}  // namespace emend
