#pragma once

#include <emend/base/errors.hpp>

#include <concepts>

namespace emend {

/// A number and its derivative, of a carrier R.
template <class R>
struct basic_value_and_slope {
  R value = 0, slope = 0;
};
using value_and_slope = basic_value_and_slope<double>;

/// How the steps of a trajectory weigh.
///   discounted  gamma^i, of step i
///   uniform     1: every transition the same (IQ-Learn); gamma stays within the steps
enum class step_weighting { discounted, uniform };

/// How the value term of a trajectory of N steps is written.
///   telescoped  V(s_0)
///   summed      sum_{i<N} w_i (V(s_i) - gamma V(s_{i+1})) + [complete] w_N V(s_N)
/// For a complete trajectory and discounted weights the two are the same number.
enum class value_form { telescoped, summed };

/// V of a terminal state.
///   log_z      log sum over all actions, as everywhere else: the paper's
///   end_score  the score of the end-of-sequence action in it: nothing else happens there
///   zero       IQ-Learn's mask of finished states
enum class terminal_value { log_z, end_score, zero };

/// An objective over trajectories that sees each step through r = l(a | s) - gamma V(s'), to be maximised.
///
/// Valid expressions, with `o` a const O, x a double, `is_rollout` a bool (the model's own trajectory, not data):
///   o.gamma, o.weighting, o.form, o.terminal, o.end_id, o.masked_at_floor    as in `sequence_match_objective`
///   o.counts_step(is_rollout), o.counts_tail(is_rollout) -> bool     whether such trajectories have step terms, a tail
///   term o.step(is_rollout, x) -> value_and_slope     term of one step at r = x, and its derivative o.tail(is_rollout,
///   x) -> value_and_slope     term of all steps after the end, at V(terminal state) = x o.value_weight(is_rollout) ->
///   double         factor of the value term, which is subtracted o.dropped_weight() -> double                 factor
///   of a dropped step's value term w (V(s) - gamma V(s')), which is added o.starts_from_value(is_rollout) -> bool
///   whether V(s) stands in place of l(a | s) in r; then scores are read twice o.is_step_outside(x),
///   o.is_tail_outside(x) -> bool     whether a data term is beyond its formula's domain, for the metrics o.check()
///   throws std::invalid_argument on a bad option
/// Optional:
///   o.next_value(is_rollout, v) -> value_and_slope     what stands in r for V(s') = v, and its derivative; without it
///   v itself
/// An objective whose step, tail and next_value take any `real` R and give basic_value_and_slope<R>, and whose
/// is_step_outside and is_tail_outside take it, too, also serves trajectories whose scores stay on a device; what holds
/// for an `occupancy_divergence` there holds for it. Models: `sequence_match_objective`, `least_squares_objective`.
/// What the compiler cannot check: that slopes are derivatives.
template <class O>
concept trajectory_objective = requires(const O& o, bool is_rollout, double x) {
  { o.gamma } -> std::convertible_to<double>;
  { o.weighting } -> std::convertible_to<step_weighting>;
  { o.form } -> std::convertible_to<value_form>;
  { o.terminal } -> std::convertible_to<terminal_value>;
  { o.end_id } -> std::convertible_to<index>;
  { o.masked_at_floor } -> std::convertible_to<index>;
  { o.counts_step(is_rollout) } -> std::convertible_to<bool>;
  { o.counts_tail(is_rollout) } -> std::convertible_to<bool>;
  { o.step(is_rollout, x) } -> std::convertible_to<value_and_slope>;
  { o.tail(is_rollout, x) } -> std::convertible_to<value_and_slope>;
  { o.value_weight(is_rollout) } -> std::convertible_to<double>;
  { o.dropped_weight() } -> std::convertible_to<double>;
  { o.starts_from_value(is_rollout) } -> std::convertible_to<bool>;
  { o.is_step_outside(x) } -> std::convertible_to<bool>;
  { o.is_tail_outside(x) } -> std::convertible_to<bool>;
  o.check();
};

namespace detail {

/// Throws std::invalid_argument unless 0 <= gamma <= 1, the ids that are needed are given, and weighting and form go
/// together.
template <class O>
void check_trajectory_options(const O& o) {
  if (!(o.gamma >= 0 && o.gamma <= 1)) fail("gamma", "a number in [0, 1]", std::to_string(o.gamma));
  if (o.terminal == terminal_value::end_score && o.end_id < 0)
    fail("end_id", "the end's id, for terminal_value::end_score", std::to_string(o.end_id));
  if (o.masked_at_floor < -1) fail("masked_at_floor", "an id, or -1 for none", std::to_string(o.masked_at_floor));
  if (o.weighting == step_weighting::uniform && o.form == value_form::telescoped)
    fail("form", "value_form::summed with uniform weights, which do not telescope", "value_form::telescoped");
}

}  // namespace detail

}  // namespace emend
