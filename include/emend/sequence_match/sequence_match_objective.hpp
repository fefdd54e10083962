#pragma once

#include <emend/sequence_match/divergences.hpp>
#include <emend/sequence_match/trajectory_objective.hpp>

namespace emend {

/// SequenceMatch: data and model trajectories made alike in a divergence between their occupancies, to be maximised.
///
///   r_i = l(a_i | s_i) - gamma V(s_{i+1}),   V(s) = log sum_a exp l(a | s),   w_i = gamma^i
///   J =   sum over data     1/C_d [ sum_{i<N} w_i/alpha phi(alpha r_i) + [complete] w_N/(alpha(1-gamma))
///   phi(alpha(1-gamma) V(s_N)) ]
///       - sum over data     data_value_weight/C_d bracket - sum over rollouts (1 - data_value_weight)/C_r bracket
///       + sum over dropped steps of data 1/C_d w_i (V(s_i) - gamma V(s_{i+1}))
///       - sum over rollouts alpha c/C_r [ sum_{i<M} w_i r_i^2 + [complete] (1-gamma) w_M V(s_M)^2 ]
/// bracket: the value term of `value_form`; c: mixture_coefficient; C_d, C_r: constants of `evaluate_trajectories`.
/// phi = `divergences::identity`: J = sum_i w_i log pi(a_i | s_i), discounted maximum likelihood (behavioural cloning)
/// for every alpha; so is alpha = 0 for every phi with phi(0) = 0 and phi'(0) = 1. gamma = 1 takes the tail's limit.
/// The scores l must be the model's own: of log-probabilities V would be 0, and nothing would be learnt of it.
/// Throws std::invalid_argument from `check`. Cundy and Ermon 2024 (arXiv 2306.05426), section 4.2; the mixture's
/// rollouts: Al-Hafez et al. 2023 (LS-IQ).
template <occupancy_divergence D = continued<divergences::pearson_chi2>>
struct sequence_match_objective {
  D divergence = {};
  double alpha = 0.01;             ///< temperature; the paper's
  double gamma = 0.998;            ///< discount; the paper's
  double data_value_weight = 0.5;  ///< 1/2: the paper; 1 with telescoped values: IQ-Learn's "v0"
  value_form form = value_form::telescoped;
  step_weighting weighting = step_weighting::discounted;
  terminal_value terminal = terminal_value::log_z;
  index end_id = -1;           ///< for terminal_value::end_score
  index masked_at_floor = -1;  ///< id left out of V in rows at the floor: a backspace that is not legal there; -1: none
  double mixture_coefficient =
      0;  ///< c; with pearson_chi2, 1/4 makes J that of the chi-square to the mixture; 0: no rollouts needed
  bool has_mixture_tail = true;  ///< the paper prints none; the mixture's value has it

  void check() const {
    if (!(alpha >= 0 && alpha < detail::infinity))
      detail::fail("alpha", "a finite number not below 0", std::to_string(alpha));
    detail::check_trajectory_options(*this);
    // What the formula divides by is 0: the limit is that of phi at 0.
    if ((alpha == 0 || gamma == 1) && !(divergence.phi(0.0) == 0 && divergence.derivative(0.0) == 1))
      detail::fail(alpha == 0 ? "alpha" : "gamma", "a divergence with phi(0) = 0 and phi'(0) = 1 at this limit",
                   "another one");
    if (!(data_value_weight > -detail::infinity && data_value_weight < detail::infinity))
      detail::fail("data_value_weight", "a finite number", std::to_string(data_value_weight));
    detail::require_not_negative("mixture_coefficient", mixture_coefficient);
    if constexpr (requires { divergence.check(); }) divergence.check();
  }

  bool counts_step(bool is_rollout) const { return !is_rollout || mixture_coefficient > 0; }
  bool counts_tail(bool is_rollout) const { return !is_rollout || (mixture_coefficient > 0 && has_mixture_tail); }
  bool starts_from_value(bool) const { return false; }
  double dropped_weight() const { return 1; }
  double value_weight(bool is_rollout) const { return is_rollout ? 1 - data_value_weight : data_value_weight; }

  template <real R>
  basic_value_and_slope<R> step(bool is_rollout, const R& r) const {
    return is_rollout ? penalty(1, r) : scaled(alpha, r);
  }
  template <real R>
  basic_value_and_slope<R> tail(bool is_rollout, const R& v) const {
    return is_rollout ? penalty(1 - gamma, v) : scaled(alpha * (1 - gamma), v);
  }
  template <real R>
  auto is_step_outside(const R& r) const {
    return is_outside(R(alpha * r));
  }
  template <real R>
  auto is_tail_outside(const R& v) const {
    return is_outside(R(alpha * (1 - gamma) * v));
  }

 private:
  /// phi(scale x) / scale
  template <class R>
  basic_value_and_slope<R> scaled(double scale, const R& x) const {
    if (scale == 0) return {x, R(1)};
    const R scaled_x = scale * x;
    return {divergence.phi(scaled_x) / scale, divergence.derivative(scaled_x)};
  }
  template <class R>
  basic_value_and_slope<R> penalty(double factor, const R& x) const {
    const double c = alpha * mixture_coefficient * factor;
    return {-c * x * x, -2 * c * x};
  }
  template <class R>
  auto is_outside(const R& x) const {
    if constexpr (requires { divergence.is_outside(x); })
      return divergence.is_outside(x);
    else
      return x < D::lowest;
  }
};

static_assert(trajectory_objective<sequence_match_objective<>>);

}  // namespace emend
