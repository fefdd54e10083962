#pragma once

#include <emend/core/token.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <array>

namespace emend {

/// How the estimate in `kl_penalty` is weighed where an older policy drew the tokens, with r = exp(log_prob -
/// old_log_prob).
///   none              k(d)                                     (verl, slime, ROLL, AReaL; the field's usual form)
///   ratio             value r k3(d), gradient r d              (TRL use_bias_correction_kl; the kind is k3). In a
///                     `policy_objective` of a sequence-level loss r is the sequence's ratio, a variable (TRL, Liger)
///   unbiased_gradient value k(d), gradient min(r, cap) d       (OpenRLHF; cap 10)
///   score_function    value min(r, cap) k(d), its whole gradient r (k + dk/dd), the score-function term included;
///   without an
///                     old_log_prob r is 1, a variable all the same (NeMo, with use_on_policy_kl_approximation and
///                     without)
enum class kl_weighting { none, ratio, unbiased_gradient, score_function };

/// Divergence from a reference policy as a loss, estimated at the sampled token.
///   loss_i = coefficient k(d_i),   d_i = log_prob_i - reference_log_prob_i                                      [nats]
/// reference_log_prob: [N]; old_log_prob: [N], needed by ratio and unbiased_gradient. A reference of NaN (unknown)
/// gives 0, and so does a token to which both policies give the probability 0; with a coefficient of 0 the loss is 0,
/// however infinite the divergence. Throws std::invalid_argument if a length is not N, a bound is not above 0, or the
/// coefficient is NaN. Metric: kl, the estimate without weight and coefficient.
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
    const bool needs_old = weighting == kl_weighting::ratio || weighting == kl_weighting::unbiased_gradient;
    if (needs_old || old_log_prob.is_given()) detail::require_length("old_log_prob", old_log_prob.size(), n);
    detail::check(clamps);
    detail::require_bound("weight_cap", weight_cap);
    if (coefficient != coefficient) detail::fail("coefficient", "a number", "NaN");
  }

  template <class R>
  R operator()(const token<R>& t) const {
    if (coefficient == 0) return R(0);
    const auto reference = t.number(reference_log_prob);
    return emend::select(reference != reference, R(0),
                         weighted(t, detail::log_ratio_between(t.log_prob, R(reference))));
  }

  template <class R>
  std::array<R, 1> metrics(const token<R>& t) const {
    const auto reference = t.number(reference_log_prob);
    return {emend::select(reference != reference, R(0),
                          kl_estimate(kind, detail::log_ratio_between(t.log_prob, R(reference)), clamps))};
  }

 private:
  template <class R>
  R weighted(const token<R>& t, const R& d) const {
    if (weighting == kl_weighting::none) return coefficient * kl_estimate(kind, d, clamps);
    const R old = old_log_prob.is_given() ? t(old_log_prob) : R(emend::detach(t.log_prob));
    const R weight = emend::clamp(emend::exp(detail::log_ratio_between(t.log_prob, old)), 0, weight_cap);
    switch (weighting) {
      case kl_weighting::ratio:
        return coefficient * importance_weighted_kl(d, weight, clamps);
      case kl_weighting::unbiased_gradient:
        return coefficient * unbiased_gradient_kl(kind, d, weight, clamps);
      default:
        return coefficient *
               emend::clamp(detail::product_or_zero(weight, kl_estimate(kind, d, {.input = clamps.input})),
                            -clamps.output, clamps.output);
    }
  }
};

}  // namespace emend
