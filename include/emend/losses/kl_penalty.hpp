#pragma once

#include <emend/core/token.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <array>

namespace emend {

/// How the estimate in `kl_penalty` is weighed where an older policy drew the tokens, with r = exp(log_prob - old_log_prob).
///   none              k(d)                                     (verl, slime, ROLL, AReaL; the field's usual form)
///   ratio             value r k3(d), gradient r d              (TRL use_bias_correction_kl; the kind is k3)
///   unbiased_gradient value k(d), gradient min(r, cap) d       (OpenRLHF; cap 10)
///   score_function    min(r, cap) k(d) with the gradient of k alone, r a constant   (NeMo use_on_policy_kl_approximation)
enum class kl_weighting { none, ratio, unbiased_gradient, score_function };

/// Divergence from a reference policy as a loss, estimated at the sampled token.
///   loss_i = coefficient k(d_i),   d_i = log_prob_i - reference_log_prob_i                                      [nats]
/// reference_log_prob: [N]; old_log_prob: [N], needed by every weighting but none. A reference of NaN (unknown) gives 0.
/// Throws std::invalid_argument if a length is not N. Metric: kl, the estimate without weight and coefficient.
struct kl_penalty {
  column reference_log_prob;
  double coefficient = 1;
  kl_kind kind = kl_kind::k3;
  kl_clamps clamps = {};
  kl_weighting weighting = kl_weighting::none;
  column old_log_prob = {};
  double weight_cap = detail::infinity;

  static constexpr bool uses_entropy = false, uses_log_sum_squares = false;
  static constexpr std::array metric_names = {"kl"};

  void check(index n) const {
    detail::require_length("reference_log_prob", reference_log_prob.size(), n);
    if (weighting != kl_weighting::none) detail::require_length("old_log_prob", old_log_prob.size(), n);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    const double reference = reference_log_prob[t.position];
    if (reference != reference) return R(0);
    const R d = t.log_prob - reference;
    if (weighting == kl_weighting::none) return coefficient * kl_estimate(kind, d, clamps);
    const R log_weight = t.log_prob - t(old_log_prob);
    const double weight = emend::min(emend::exp(value_of(log_weight)), weight_cap);
    switch (weighting) {
      case kl_weighting::ratio: return coefficient * importance_weighted_kl(d, R(weight), clamps);
      case kl_weighting::unbiased_gradient: return coefficient * unbiased_gradient_kl(kind, d, R(weight), clamps);
      default: return coefficient * emend::clamp(weight * kl_estimate(kind, d, {.input = clamps.input}), -clamps.output, clamps.output);
    }
  }

  std::array<double, 1> metrics(const token<double>& t) const {
    const double reference = reference_log_prob[t.position];
    return {reference != reference ? 0.0 : kl_estimate(kind, t.log_prob - reference, clamps)};
  }
};

}  // namespace emend
