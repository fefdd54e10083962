#pragma once

#include <emend/sequence_match/trajectory_objective.hpp>

namespace emend {

/// What a rollout's reward starts from.
///   action  l(b | u): what the model did is pushed down, as in unlikelihood training (LS-IQ's code: "q_old_policy")
///   value   V(u): the max-entropy form (LS-IQ's default, "value"); scores are read twice
enum class rollout_start { action, value };

/// The chi-square to the mixture as regression of rewards: +1/c on data, -1/c on rollouts; to be maximised.
///
///   J = - c/(2 alpha) { sum over data     1/C_d [ sum_{i<N} w_i (alpha r_i - 1/c)^2 + [complete] w_N/(1-gamma) (alpha(1-gamma) V(s_N) - 1/c)^2 ]
///                     + sum over rollouts 1/C_r [ the same with + 1/c ] }
/// r_i, w_i, C_d, C_r as in `sequence_match_objective`; no value term. The factor makes its slope at r = 0 that of maximum
/// likelihood, so that learning rates carry over; times -4 alpha, with c = 1/2, it is the plain sum of squares.
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

  static constexpr value_form form = value_form::summed;

  void check() const {
    detail::require_positive("alpha", alpha);
    detail::require_positive("coefficient", coefficient);
    detail::check_trajectory_options(*this);
    if (has_tail && gamma == 1) detail::fail("gamma", "a number below 1, where the tail counts", "1");
  }

  bool counts_step(bool) const { return true; }
  bool counts_tail(bool) const { return has_tail; }
  bool starts_from_value(bool is_rollout) const { return is_rollout && start == rollout_start::value; }
  double dropped_weight() const { return 0; }
  double value_weight(bool) const { return 0; }

  value_and_slope step(bool is_rollout, double r) const { return square(is_rollout, r, 1); }
  value_and_slope tail(bool is_rollout, double v) const { return square(is_rollout, v, 1 - gamma); }
  bool is_step_outside(double) const { return false; }
  bool is_tail_outside(double) const { return false; }

 private:
  /// -c/(2 alpha scale) (alpha scale x -+ 1/c)^2
  value_and_slope square(bool is_rollout, double x, double scale) const {
    const double distance = alpha * scale * x + (is_rollout ? 1 : -1) / coefficient;
    return {-coefficient / (2 * alpha * scale) * distance * distance, -coefficient * distance};
  }
};

static_assert(trajectory_objective<least_squares_objective>);

}  // namespace emend
