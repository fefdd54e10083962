#pragma once

#include <emend/core/layout.hpp>
#include <emend/core/token.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <array>

namespace emend {

/// On-policy distillation on sampled tokens, as a loss.
///   loss_i = clamp(k(log_prob_i - teacher_log_prob_i), -clamp, clamp)                                    [nats]
/// k: an estimate of KL(student || teacher). As a loss k1 has a gradient of mean 0, k2 that of the divergence; as an
/// advantage k1 is the right one. teacher_log_prob: [N], constants. Beyond the clamp the gradient is 0. Throws
/// std::invalid_argument if a length is not N. Metrics, means over the evaluated tokens: the estimate without its
/// clamp, and how often the clamp acts. verl's distillation losses (clamp 10).
struct sampled_distillation {
  column teacher_log_prob;
  kl_kind estimate = kl_kind::k2;
  double clamp = 10;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = {"estimate", "clamp_fraction"};

  void check(index n) const {
    detail::require_length("teacher_log_prob", teacher_log_prob.size(), n);
    detail::require_bound("clamp", clamp);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    return kl_estimate(estimate, detail::log_ratio_between(t.log_prob, t(teacher_log_prob)), {.output = clamp});
  }

  std::array<double, 2> metrics(const token<double>& t) const {
    const double value = kl_estimate(estimate, detail::log_ratio_between(t.log_prob, t(teacher_log_prob)));
    return {value, emend::abs(value) > clamp ? 1.0 : 0.0};
  }
};

/// Options of `distillation_advantage`.
struct distillation_advantage_options {
  kl_kind estimate = kl_kind::k1;
  double coefficient = 1;
  double clamp = 10;           ///< of the estimate, before the coefficient; verl 10, TRL infinity
  column task_advantage = {};  ///< [tokens], added where given (verl: the task's reward is optional)
};

/// On-policy distillation as an advantage, for any policy loss: what the teacher would rather have had counts against a
/// token.
///   A_t = task_advantage_t - coefficient clamp(k(log_prob_t - teacher_log_prob_t), -clamp, clamp)  [nats]
/// log_prob (of the rollout), teacher_log_prob: [layout.tokens()]; tokens that are not counted get 0.
/// Throws std::invalid_argument on a length that does not fit. Cost: one pass over two numbers a token.
/// verl, TRL (k1: teacher minus rollout log-probability).
template <layout_argument L>
std::vector<double> distillation_advantage(column log_prob, column teacher_log_prob, const L& layout,
                                           const distillation_advantage_options& options = {}) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::require_length("teacher_log_prob", teacher_log_prob.size(), layout.tokens());
  if (options.task_advantage.is_given())
    detail::require_length("task_advantage", options.task_advantage.size(), layout.tokens());
  detail::require_bound("clamp", options.clamp);
  std::vector<double> advantage(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      const double estimate = kl_estimate(options.estimate, detail::log_ratio_between(log_prob[t], teacher_log_prob[t]),
                                          {.output = options.clamp});
      advantage[static_cast<std::size_t>(t)] = (options.task_advantage.is_given() ? options.task_advantage[t] : 0) -
                                               detail::scaled_or_zero(options.coefficient, estimate);
    });
  return advantage;
}

}  // namespace emend
