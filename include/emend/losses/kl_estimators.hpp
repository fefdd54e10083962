#pragma once

#include <emend/base/errors.hpp>
#include <emend/carriers/real.hpp>

namespace emend {

/// An estimate of the divergence KL(policy | reference) from one sampled token, with d = log policy - log reference.
///   k1             d                    unbiased, of either sign
///   k2             d^2 / 2              its gradient d is an unbiased gradient of the divergence
///   k3             e^-d - 1 + d         "low_var_kl" of verl, slime; never below 0
///   absolute       |d|                  verl, NeMo-Aligner, ROLL
///   positive_part  max(d, 0)            alpaca_farm
///   k1_through_k2, k3_through_k2        value of k1, k3 and the gradient d of k2 (verl: "k1+", "k3+")
/// Schulman 2020, "Approximating KL divergence".
enum class kl_kind { k1, k2, k3, absolute, positive_part, k1_through_k2, k3_through_k2 };

/// Bounds of an estimate: |d| before it enters, and the estimate itself. The whole gradient passes at a bound, none
/// beyond.
///   input:  20 verl (k3), NeMo; 40 open-instruct; infinity OpenRLHF, slime, ROLL, AReaL, TRL
///   output: 10 verl (k3), NeMo, OpenRLHF, slime and ROLL (k3); infinity TRL, open-instruct
struct kl_clamps {
  double input = __builtin_inf();
  double output = __builtin_inf();
};

// Calls without `emend::` find the functions of any carrier.

namespace detail {

/// log(p / q) of one token, from the logarithms of p and q. Where both are 0, that of two policies that agree to
/// exclude the token: the constant 0, for a ratio of 1 without a gradient.
template <class R>
constexpr R log_ratio_between(const R& log_p, const R& log_q) {
  const R lowest(-__DBL_MAX__);
  return select(log_p < lowest && log_q < lowest, R(0), R(log_p - log_q));
}

/// e^-d - 1 + d, +inf at either end.
template <class R>
constexpr R k3_of(const R& d) {
  const R e = expm1(-d);
  return select(d < R(-__DBL_MAX__), e, R(e + d));
}

/// weight x; 0 where the weight is exactly 0, however infinite x is.
template <class R>
constexpr R product_or_zero(const R& weight, const R& x) {
  return select(weight <= R(0) && weight >= R(0), R(0), R(weight * x));
}
/// The same of a plain number.
constexpr double scaled_or_zero(double factor, double x) { return factor == 0 ? 0 : factor * x; }

/// The number `value` with the derivative `slope` with respect to x; without a derivative where x is infinite.
template <class R>
constexpr R with_slope(const R& value, const R& slope, const R& x) {
  return select(x < R(-__DBL_MAX__) || x > R(__DBL_MAX__), R(detach(value)),
                R(detach(value) + detach(slope) * (x - detach(x))));
}

inline void check(const kl_clamps& clamps, const char* input = "clamps.input", const char* output = "clamps.output") {
  require_bound(input, clamps.input);
  require_bound(output, clamps.output);
}

}  // namespace detail

/// The estimate `kind` of the divergence at one token.
///   clamp(k(clamp(log_ratio, +-input)), +-output)       [nats]
/// log_ratio: log policy - log reference. R is any `real`; the gradient of the kinds through k2 is log_ratio, clamped
/// by nothing. An overflow beyond the output bound has derivative 0, not 0 * inf.
template <class R>
constexpr R kl_estimate(kl_kind kind, const R& log_ratio, kl_clamps clamps = {}) {
  const R d = clamp(log_ratio, -clamps.input, clamps.input);
  const auto bounded = [&](const R& value) { return clamp(value, -clamps.output, clamps.output); };
  switch (kind) {
    case kl_kind::k2:
      return bounded(0.5 * square(d));
    case kl_kind::k3:
      return bounded(detail::k3_of(d));
    case kl_kind::absolute:
      return bounded(abs(d));
    case kl_kind::positive_part:
      return bounded(max(d, 0.0));
    case kl_kind::k1_through_k2:
      return detail::with_slope(bounded(d), log_ratio, log_ratio);
    case kl_kind::k3_through_k2:
      return detail::with_slope(bounded(detail::k3_of(d)), log_ratio, log_ratio);
    default:
      return bounded(d);
  }
}

/// k3 weighted by the importance ratio of a token that an older policy drew; value and gradient are unbiased.
///   value  r k3(d),  gradient  r d       r = policy / old policy
/// The e^-d terms of the product rule cancel, so that nothing overflows through them. TRL (use_bias_correction_kl),
/// slime.
template <class R>
constexpr R importance_weighted_kl(const R& log_ratio, const R& ratio, kl_clamps clamps = {}) {
  return detail::with_slope(detail::product_or_zero(ratio, kl_estimate(kl_kind::k3, log_ratio, clamps)),
                            detail::product_or_zero(ratio, log_ratio), log_ratio);
}

/// An estimate whose gradient is the divergence's own, weighted: value k(d), gradient w d.
/// weight: policy / old policy, capped (OpenRLHF "unbiased_gradient": at 10); 1 gives the kinds through k2.
template <class R>
constexpr R unbiased_gradient_kl(kl_kind kind, const R& log_ratio, const R& weight, kl_clamps clamps = {}) {
  return detail::with_slope(kl_estimate(kind, log_ratio, clamps), detail::product_or_zero(weight, log_ratio),
                            log_ratio);
}

/// An estimate with the score-function term: value k(d), gradient k(d) + dk/dd.
/// The weight e^(d - d), its first d a variable and its second a constant, as NeMo's importance_sampling_weights of an
/// on-policy batch.
template <class R>
constexpr R score_function_kl(kl_kind kind, const R& log_ratio, kl_clamps clamps = {}) {
  return kl_estimate(kind, log_ratio, clamps) * exp(log_ratio - detach(log_ratio));
}

}  // namespace emend
