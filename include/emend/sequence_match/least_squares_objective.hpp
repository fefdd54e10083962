#pragma once

#include <emend/carriers/real.hpp>
#include <emend/sequence_match/trajectory_objective.hpp>

namespace emend {

/// What a rollout's reward starts from.
///   action  l(b | u): what the model did is pushed down, as in unlikelihood training (LS-IQ's code: "q_old_policy")
///   value   V(u): the max-entropy form (LS-IQ's default, "value"); scores are read twice
enum class rollout_start { action, value };

/// V(s') in a step's reward. Rewards within 1/c bound it: |alpha V| <= q = 1/(c(1-gamma)).
///   plain       as the scores say
///   clipped     not beyond its bound, where it has no gradient (LS-IQ's code: "clip_target")
///   data_fixed  data: at its upper bound, so that alpha l(a | s) is drawn to q and nothing is bootstrapped (LS-IQ's
///   code: "fix");
///               rollouts: clipped
enum class next_value_rule { plain, clipped, data_fixed };

/// The chi-square to the mixture as regression of rewards: +1/c on data, -1/c on rollouts; to be maximised.
///
///   J = - c/(2 alpha) { sum over data     1/C_d [ sum_{i<N} w_i (alpha r_i - 1/c)^2 + [complete] w_N/(1-gamma)
///   (alpha(1-gamma) V(s_N) - 1/c)^2 ]
///                     + sum over rollouts 1/C_r [ the same with + 1/c ] }
/// r_i, w_i, C_d, C_r as in `sequence_match_objective`; no value term. The factor makes its slope at r = 0 that of
/// maximum likelihood, so that learning rates carry over; times -4 alpha, with c = 1/2, it is the plain sum of squares.
/// huber = h: squares x^2 of distances above h become h (2 |x| - h), as in LS-IQ's code with h = 1, which halves both.
/// Throws std::invalid_argument from `check`. Al-Hafez et al. 2023 (LS-IQ, arXiv 2303.00599).
struct least_squares_objective {
  double alpha = 0.01;
  double gamma = 0.998;
  double coefficient = 0.5;  ///< c; rewards are bounded by 1/c
  rollout_start start = rollout_start::action;
  bool has_tail = true;
  step_weighting weighting = step_weighting::discounted;
  terminal_value terminal = terminal_value::log_z;
  index end_id = -1;
  index masked_at_floor = -1;
  next_value_rule next = next_value_rule::plain;
  double huber = detail::infinity;  ///< distance from which errors count linearly

  static constexpr value_form form = value_form::summed;

  void check() const {
    detail::require_positive("alpha", alpha);
    detail::require_positive("coefficient", coefficient);
    if (!(huber > 0)) detail::fail("huber", "a number above 0, or infinity for squares", std::to_string(huber));
    detail::check_trajectory_options(*this);
    if (has_tail && gamma == 1) detail::fail("gamma", "a number below 1, where the tail counts", "1");
    if (next != next_value_rule::plain && gamma == 1)
      detail::fail("gamma", "a number below 1, where V(s') is bounded", "1");
  }

  bool counts_step(bool) const { return true; }
  bool counts_tail(bool) const { return has_tail; }
  bool starts_from_value(bool is_rollout) const { return is_rollout && start == rollout_start::value; }
  double dropped_weight() const { return 0; }
  double value_weight(bool) const { return 0; }

  template <real R>
  basic_value_and_slope<R> step(bool is_rollout, const R& r) const {
    return square(is_rollout, r, 1);
  }
  template <real R>
  basic_value_and_slope<R> tail(bool is_rollout, const R& v) const {
    return square(is_rollout, v, 1 - gamma);
  }
  /// V(s') as r holds it, and its derivative.
  template <real R>
  basic_value_and_slope<R> next_value(bool is_rollout, const R& v) const {
    if (next == next_value_rule::plain) return {v, R(1)};
    const double bound = 1 / (alpha * coefficient * (1 - gamma));
    if (next == next_value_rule::data_fixed && !is_rollout) return {R(bound), R(0)};
    return {clamp(v, -bound, bound), select(v < -bound, R(0), select(v > bound, R(0), R(1)))};
  }
  template <real R>
  bool is_step_outside(const R&) const {
    return false;
  }
  template <real R>
  bool is_tail_outside(const R&) const {
    return false;
  }

 private:
  /// -c/(2 alpha scale) (alpha scale x -+ 1/c)^2
  template <class R>
  basic_value_and_slope<R> square(bool is_rollout, const R& x, double scale) const {
    const R distance = alpha * scale * x + (is_rollout ? 1 : -1) / coefficient;
    const double factor = -coefficient / (2 * alpha * scale);
    const basic_value_and_slope<R> whole{factor * distance * distance, -coefficient * distance};
    if (huber == detail::infinity) return whole;
    const R size = abs(distance), signed_huber = select(distance < 0, R(-huber), R(huber));
    const auto is_far = size > huber;
    return {select(is_far, R(factor * huber * (2 * size - huber)), whole.value),
            select(is_far, R(-coefficient * signed_huber), whole.slope)};
  }
};

static_assert(trajectory_objective<least_squares_objective>);

}  // namespace emend
