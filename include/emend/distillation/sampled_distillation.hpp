#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>
#include <emend/core/token.hpp>

#include <array>

namespace emend {

/// Estimate of KL(student || teacher) from one token that the student sampled, with d = log_prob - teacher_log_prob.
///   k1  d             its mean is the divergence; as a loss its gradient has mean 0, as an advantage it is the right one
///   k2  d^2 / 2       as a loss, the gradient of the divergence
///   k3  e^-d - 1 + d  never below 0                                                                      [nats]
enum class sampled_estimate { k1, k2, k3 };

namespace detail {

template <class R>
R sampled_divergence(sampled_estimate estimate, const R& d) {
  if (estimate == sampled_estimate::k1) return d;
  return estimate == sampled_estimate::k2 ? 0.5 * emend::square(d) : emend::expm1(-d) + d;
}

inline void require_clamp_of_estimate(double clamp) {
  if (!(clamp > 0)) fail("clamp", "a number above 0, or infinity for none", std::to_string(clamp));
}

}  // namespace detail

/// On-policy distillation on sampled tokens, as a loss.
///   loss_i = clamp(estimate(log_prob_i - teacher_log_prob_i), -clamp, clamp)                             [nats]
/// teacher_log_prob: [N], constants. Beyond the clamp the gradient is 0. Throws std::invalid_argument if a length is not N.
/// Metrics, means over the evaluated tokens: the estimate without its clamp, and how often the clamp acts.
/// verl's distillation losses (clamp 10).
struct sampled_distillation {
  column teacher_log_prob;
  sampled_estimate estimate = sampled_estimate::k2;
  double clamp = 10;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = {"estimate", "clamp_fraction"};

  void check(index n) const {
    detail::require_length("teacher_log_prob", teacher_log_prob.size(), n);
    detail::require_clamp_of_estimate(clamp);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    return emend::clamp(detail::sampled_divergence(estimate, R(t.log_prob - t(teacher_log_prob))), -clamp, clamp);
  }

  std::array<double, 2> metrics(const token<double>& t) const {
    const double value = detail::sampled_divergence(estimate, t.log_prob - t(teacher_log_prob));
    return {value, emend::abs(value) > clamp ? 1.0 : 0.0};
  }
};

/// Options of `distillation_advantage`.
struct distillation_advantage_options {
  sampled_estimate estimate = sampled_estimate::k1;
  double coefficient = 1;
  double clamp = 10;           ///< of the estimate, before the coefficient; verl 10, TRL infinity
  column task_advantage = {};  ///< [tokens], added where given (verl: the task's reward is optional)
};

/// On-policy distillation as an advantage, for any policy loss: what the teacher would rather have had counts against a token.
///   A_t = task_advantage_t - coefficient clamp(estimate(log_prob_t - teacher_log_prob_t), -clamp, clamp)  [nats]
/// log_prob (of the rollout), teacher_log_prob: [layout.tokens()]; tokens that are not counted get 0.
/// Throws std::invalid_argument on a length that does not fit. Cost: one pass over two numbers a token.
/// verl, TRL (k1: teacher minus rollout log-probability).
template <sequence_layout L>
std::vector<double> distillation_advantage(column log_prob, column teacher_log_prob, const L& layout,
                                           const distillation_advantage_options& options = {}) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::require_length("teacher_log_prob", teacher_log_prob.size(), layout.tokens());
  if (!options.task_advantage.empty()) detail::require_length("task_advantage", options.task_advantage.size(), layout.tokens());
  detail::require_clamp_of_estimate(options.clamp);
  std::vector<double> advantage(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      const double estimate = detail::sampled_divergence(options.estimate, log_prob[t] - teacher_log_prob[t]);
      advantage[static_cast<std::size_t>(t)] = (options.task_advantage.empty() ? 0 : options.task_advantage[t]) -
                                               options.coefficient * emend::clamp(estimate, -options.clamp, options.clamp);
    });
  return advantage;
}

}  // namespace emend
